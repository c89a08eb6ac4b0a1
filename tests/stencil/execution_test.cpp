// Every test stencil does what its reference does, whatever registers its operands get, and
// nothing else: what it does not declare to write keeps its value.

#include <catch2/catch.hpp>
#include <random>

#include "jit/stencil/host_level.h"
#include "jit/stencil/stencils.h"
#include "tests/stencil/reference.h"

namespace penumbra::jit {
extern const StencilTables kTestStencilsV2, kTestStencilsV3;
}

namespace penumbra::jit::test {
namespace {

constexpr u8 kPool[] = {3, 5, 6, 7, 8, 9, 10, 11, 14, 15};

/// One run: which registers, which values, and what comes of it.
class Round {
 public:
  Round(const StencilTables& tables, const Stencil& stencil, const Reference& reference, u64 seed)
      : tables_(tables), stencil_(stencil), reference_(reference), random_(seed) {}

  void check(Runner& runner) {
    make_world();
    make_values();
    make_operands(runner);
    assign_registers();
    share();
    World start = world_;
    Registers before = registers(), after = before;
    runner.place(tables_, stencil_, fill_);
    runner.run(after);
    World reached = world_;
    world_ = start;
    Way way = reference_.run(machine_);
    CHECK(after.way == way);
    CHECK(std::memcmp(&reached, &world_, sizeof(World)) == 0);
    check_general(before, after);
    check_vectors(before, after);
  }

 private:
  u64 number() { return random_(); }
  bool coin() { return number() % 2 != 0; }

  void make_world() {
    for (u8& byte : world_.state) byte = static_cast<u8>(number());
    for (u8& byte : world_.memory) byte = static_cast<u8>(number());
  }

  /// Slots of their own, and what fits the holes.
  void make_values() {
    for (u32 kind = 0; kind < kValueHoleKinds; kind++) fill_.values[kind] = 32 * kind;
    fill_[HoleKind::Displacement] = 8 * (number() % 8);
    for (const Hole& hole : tables_.value_holes(stencil_))
      if (hole.kind == HoleKind::Immediate ||
          (hole.kind == HoleKind::Extra && hole.type == HoleType::Abs16))
        fill_[hole.kind] = value_for(hole.type);
  }

  u64 value_for(HoleType type) {
    u64 value = number();
    switch (type) {
      case HoleType::Abs8:
        return sign_extend(value, Width::W8);
      case HoleType::Abs16:
        return sign_extend(value, Width::W16);
      case HoleType::Abs32:
        return static_cast<u32>(value);
      case HoleType::Abs32S:
        return sign_extend(value, Width::W32);
      default:
        return value;
    }
  }

  u64 operand() { return coin() ? number() : number() % 4; }

  void make_operands(const Runner& runner) {
    machine_ = {.world = &world_,
                .d = operand(),
                .a = operand(),
                .b = operand(),
                .c = operand(),
                .left = static_cast<i64>(number()),
                .fill = &fill_,
                .elsewhere = runner.elsewhere()};
    if (number() % 4 == 0) machine_.b = machine_.a;
    for (Vector* vector : vector_operands())
      for (u64& lane : vector->lanes) lane = number();
    if (reference_.prepare) reference_.prepare(machine_);
  }

  std::array<u64*, 4> operands() { return {&machine_.d, &machine_.a, &machine_.b, &machine_.c}; }
  std::array<Vector*, 4> vector_operands() {
    return {&machine_.vd, &machine_.va, &machine_.vb, &machine_.vc};
  }

  void assign_registers() {
    u32 taken = stencil_.clobbers, taken_vectors = stencil_.vector_clobbers;
    for (u32 i = 0; i < 4; i++) {
      u8 chosen;
      do chosen = kPool[number() % std::size(kPool)];
      while ((taken >> chosen & 1) != 0 || (chosen == 5 && (stencil_.not_rbp.bits >> i & 1) != 0));
      taken |= 1u << chosen;
      fill_.registers[i] = chosen;
      do chosen = static_cast<u8>(number() % 16);
      while ((taken_vectors >> chosen & 1) != 0);
      taken_vectors |= 1u << chosen;
      fill_.registers[4 + i] = chosen;
    }
  }

  /// Sometimes one register for two operands, where the stencil allows it.
  void share() {
    u8 written = static_cast<u8>(number() % 4), read = static_cast<u8>(number() % 4);
    StencilOperand w{written}, r{read};
    bool may = written != read && stencil_.writes.has(w) && stencil_.may_share(w, r) &&
               !(stencil_.not_rbp.has(w) && fill_.registers[read] == 5);
    if (!may || stencil_.writes.has(r)) return;
    fill_.registers[written] = fill_.registers[read];
    *operands()[written] = *operands()[read];
    shared_ = read;
  }

  Registers registers() {
    Registers result;
    for (u64& value : result.general) value = number();
    for (Vector& vector : result.vectors)
      for (u64& lane : vector.lanes) lane = number();
    result.has_avx = host_level() == HostLevel::V3;
    result.general[12] = reinterpret_cast<u64>(world_.state);
    result.general[13] = static_cast<u64>(machine_.left);
    for (u32 i = 0; i < 4; i++) {
      result.general[fill_.registers[i]] = *operands()[i];
      if (reference_.vector_bits != 0)
        result.vectors[fill_.registers[4 + i]] = *vector_operands()[i];
    }
    return result;
  }

  void check_general(const Registers& before, const Registers& after) {
    u64 expected[16];
    std::copy(std::begin(before.general), std::end(before.general), expected);
    expected[13] = static_cast<u64>(machine_.left);
    for (u32 i = 0; i < 4; i++)
      if (i != shared_) expected[fill_.registers[i]] = *operands()[i];
    for (u32 i = 0; i < 16; i++) {
      if (i == 4 || (stencil_.clobbers >> i & 1) != 0) continue;
      INFO("general register " << i);
      CHECK(after.general[i] == expected[i]);
    }
  }

  void check_vectors(const Registers& before, const Registers& after) {
    for (u32 i = 0; i < 16; i++) {
      if ((stencil_.vector_clobbers >> i & 1) != 0) continue;
      INFO("vector register " << i);
      bool is_result = reference_.vector_bits != 0 && i == fill_.registers[4];
      const Vector& expected = is_result ? machine_.vd : before.vectors[i];
      u32 bits = is_result || before.has_avx == 0 ? std::max(128u, reference_.vector_bits) : 256;
      CHECK(std::memcmp(&after.vectors[i], &expected, bits / 8) == 0);
    }
  }

  const StencilTables& tables_;
  const Stencil& stencil_;
  const Reference& reference_;
  std::mt19937_64 random_;
  World world_{};
  StencilFill fill_;
  Machine machine_{};
  u32 shared_ = 4;
};

void check_level(const StencilTables& tables, bool is_v3) {
  Stencils stencils(tables);
  Runner runner;
  size_t checked = 0;
  for (const Reference& reference : references()) {
    if (reference.needs_v3 && !is_v3) continue;
    INFO("key " << reference.key);
    const Stencil* stencil = stencils.find(reference.key);
    REQUIRE(stencil != nullptr);
    for (u64 seed = 0; seed < 300; seed++) {
      INFO("seed " << seed);
      Round(tables, *stencil, reference, seed).check(runner);
    }
    checked++;
  }
  CHECK(checked == tables.stencils.size());
}

TEST_CASE("stencils of level v2 do what their sources say in all registers") {
  check_level(kTestStencilsV2, false);
}

TEST_CASE("stencils of level v3 do what their sources say in all registers") {
  if (host_level() == HostLevel::V3) check_level(kTestStencilsV3, true);
}

TEST_CASE("a key without a stencil is not found") {
  Stencils stencils(kTestStencilsV2);
  CHECK(stencils.find(0) == nullptr);
  CHECK(stencils.find(kVector256Add) == nullptr);
  CHECK(stencils.find(kAdd)->key == kAdd);
}

}  // namespace
}  // namespace penumbra::jit::test
