// Every stencil of the engine, at every host level, does what its key says and nothing else: tier
// 0's meaning of a micro-op, the contract of what is none; in any registers.

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <map>

#include "cpu/semantics/fp_environment.h"
#include "jit/stencil/host_level.h"
#include "tests/stencil/scene.h"

namespace penumbra::jit::test {
namespace {

using Jumps = std::array<cpu::CpuState::JumpEntry, cpu::CpuState::kJumps>;
using Returns = std::array<cpu::CpuState::ReturnEntry, cpu::CpuState::kReturns>;

std::string name_of(const StencilKey& key) {
  std::string name =
      is_special(key) ? fmt::format("special {:x}", key.op) : translator::name_of(op_of(key));
  return fmt::format(
      "{} width {} from {} effect {} forms {}{}{}{} condition {} kind {} scale {}{}{}", name,
      bits(key.width), bits(key.from), static_cast<u32>(key.effect), static_cast<u32>(key.d),
      static_cast<u32>(key.a), static_cast<u32>(key.b), static_cast<u32>(key.c),
      static_cast<u32>(key.condition), static_cast<u32>(key.kind), key.scale,
      key.tied ? " tied" : "", key.wide ? " wide" : "");
}

bool defines_image(const StencilKey& key) {
  bool carries = !is_special(key) && (op_of(key) == Op::AddCarry || op_of(key) == Op::SubBorrow);
  return carries && key.effect != Effect::Value;
}
/// Flags whose values have a width.
bool defines_values(const StencilKey& key) {
  if (is_special(key) || key.effect == Effect::Value || key.width > Width::W64) return false;
  return cpu::has_width(translator::flag_family_of(op_of(key)));
}

bool writes_wide(const StencilKey& key) {
  return key.width == Width::W256 || key.from == Width::W256;
}

/// What all runs share.
struct Stage {
  std::mt19937_64 random{1};
  Runner runner;
  std::unique_ptr<Pages> pages = std::make_unique<Pages>(random);
  std::unique_ptr<Jumps> jumps = std::make_unique<Jumps>();
  std::unique_ptr<Returns> returns = std::make_unique<Returns>();
  Scene scene;
  Pages::Contents before, reached;
  /// In front of the run; where the stencil runs, with registers' slots out of date; as expected.
  cpu::CpuState start, run, expected;

  Stage() {
    u8* bytes = reinterpret_cast<u8*>(&scene.state);
    for (u32 i = 0; i < sizeof scene.state; ++i) bytes[i] = static_cast<u8>(random());
    scene.state.zero = 0;
    scene.state.table = &pages->table();
    scene.state.jumps = jumps->data();
    scene.state.returns = returns->data();
    scene.pages = pages.get();
    scene.elsewhere = reinterpret_cast<const void*>(runner.elsewhere());
  }
};

/// One stencil in registers chosen for it, run on one scene.
class Round {
 public:
  Round(Stage& stage, const StencilTables& tables, const Stencil& stencil, bool has_avx)
      : stage_(stage),
        tables_(tables),
        stencil_(stencil),
        scene_(stage.scene),
        random_(stage.random),
        has_avx_(has_avx) {}

  /// Where the stencil left; nullopt where something is wrong, with complaint().
  std::optional<Way> run() {
    prepare(scene_, immediate_type(), random_);
    assign_registers();
    copy(stage_.run, scene_.state);
    for (u32 i = 0; i < 4; ++i)
      if (in_register(i) && is_first(i)) spoil(stage_.run, i);
    before_ = registers();
    if (uses_memory()) stage_.before = stage_.pages->contents();
    run_stencil();
    perform();
    return complaint_.empty() ? std::optional(after_.way) : std::nullopt;
  }
  const std::string& complaint() const { return complaint_; }

 private:
  static constexpr u8 kPool[] = {3, 5, 6, 7, 8, 9, 10, 11, 14, 15};

  bool in_register(u32 operand) const { return forms_of(scene_.key)[operand] == Form::Register; }
  bool is_vector(u32 operand) const { return is_vector_operand(scene_.key, operand); }
  StencilOperand operand_of(u32 i) const {
    return static_cast<StencilOperand>(is_vector(i) ? 4 + i : i);
  }
  u8 host_of(u32 i) const { return fill_.registers[is_vector(i) ? 4 + i : i]; }

  HoleType immediate_type() const {
    for (const Hole& hole : tables_.value_holes(stencil_))
      if (hole.kind == HoleKind::Immediate) return hole.type;
    return HoleType::Abs32S;
  }

  /// With what is between the members.
  static void copy(cpu::CpuState& to, const cpu::CpuState& from) {
    std::memcpy(static_cast<void*>(&to), &from, sizeof to);
  }
  bool uses_memory() const { return has_address(scene_.key) || is_special(scene_.key); }

  /// Operands in one slot are in one register, if the stencil lets them.
  void assign_registers() {
    u32 taken = stencil_.clobbers, taken_vectors = stencil_.vector_clobbers;
    for (u32 i = 0; i < 4; ++i) {
      if (!in_register(i)) continue;
      u8& chosen = fill_.registers[is_vector(i) ? 4 + i : i];
      u32& used = is_vector(i) ? taken_vectors : taken;
      bool no_rbp = stencil_.not_rbp.has(operand_of(i));
      do
        chosen =
            is_vector(i) ? static_cast<u8>(random_() % 16) : kPool[random_() % std::size(kPool)];
      while ((used >> chosen & 1) != 0 || (no_rbp && chosen == 5));
      for (u32 j = 0; j < i; ++j)
        if (may_share(j, i)) chosen = host_of(j);
      used |= 1u << chosen;
    }
  }

  bool may_share(u32 first, u32 second) {
    if (!in_register(first) || scene_.slots[first] != scene_.slots[second]) return false;
    StencilOperand x = operand_of(first), y = operand_of(second);
    if (stencil_.writes.has(y) || (stencil_.not_rbp.has(y) && host_of(first) == 5)) return false;
    return first == kD ? stencil_.may_share(x, y) : !stencil_.writes.has(x);
  }

  void spoil(cpu::CpuState& state, u32 operand) const {
    u8* at = reinterpret_cast<u8*>(&state) + scene_.slots[operand];
    for (u32 i = 0; i < (is_vector(operand) ? 32u : 8u); ++i) at[i] ^= 0x5a;
  }

  Registers registers() {
    Registers result;
    for (u64& value : result.general) value = random_();
    for (Vector& vector : result.vectors)
      for (u64& part : vector.lanes) part = random_();
    result.has_avx = host_level() == HostLevel::V3;
    result.general[12] = reinterpret_cast<u64>(&stage_.run);
    result.general[13] = static_cast<u64>(scene_.left);
    result.general[2] = scene_.rdx;
    result.flags = 2 | scene_.host_flags;
    for (u32 i = 0; i < 4; ++i) {
      if (!in_register(i)) continue;
      if (is_vector(i))
        std::memcpy(&result.vectors[host_of(i)], scene_.at(i), 32);
      else
        result.general[host_of(i)] = scene_.value(i);
    }
    return result;
  }

  void fill_values() {
    constexpr HoleKind kSlots[] = {HoleKind::SlotD, HoleKind::SlotA, HoleKind::SlotB,
                                   HoleKind::SlotC};
    for (u32 i = 0; i < 4; ++i) fill_[kSlots[i]] = scene_.slots[i];
    fill_[HoleKind::Immediate] = scene_.immediate;
    fill_[HoleKind::Displacement] = static_cast<u64>(i64{scene_.displacement});
  }

  void run_stencil() {
    fill_values();
    stage_.runner.place(tables_, stencil_, fill_);
    after_ = before_;
    cpu::fp_environment::write_host(scene_.state.mxcsr);
    stage_.runner.run(after_);
    sticky_ = cpu::fp_environment::read_host();
    cpu::fp_environment::write_host(cpu::Mxcsr::kDefault);
    if (!uses_memory()) return;
    stage_.reached = stage_.pages->contents();
    stage_.pages->contents() = stage_.before;
  }

  void perform() {
    copy(stage_.start, scene_.state);
    cpu::fp_environment::write_host(scene_.state.mxcsr);
    std::optional<Outcome> outcome = test::perform(scene_);
    u32 sticky = cpu::fp_environment::read_host();
    cpu::fp_environment::write_host(cpu::Mxcsr::kDefault);
    if (!outcome) return complain("the key means nothing that is known");
    if (after_.way == Way::Slow && outcome->may_be_slow) {
      outcome = Outcome{.way = Way::Slow};
      copy(scene_.state, stage_.start);
    }
    if (after_.way != outcome->way) return complain("the way out");
    if (sticky_ != sticky) complain("MXCSR");
    if (uses_memory() && stage_.reached != stage_.pages->contents()) complain("memory");
    check_state();
    check_general(*outcome);
    check_vectors();
    copy(scene_.state, stage_.start);
  }

  /// Slots of what is in registers are not touched.
  void check_state() {
    copy(stage_.expected, scene_.state);
    for (u32 i = 0; i < 4; ++i) {
      if (!in_register(i) || !is_first(i)) continue;
      u32 size = is_vector(i) ? 32 : 8;
      std::memcpy(reinterpret_cast<u8*>(&stage_.expected) + scene_.slots[i],
                  reinterpret_cast<u8*>(&stage_.start) + scene_.slots[i], size);
      spoil(stage_.expected, i);
    }
    keep_image(stage_.run);
    keep_image(stage_.expected);
    keep_values(stage_.run);
    keep_values(stage_.expected);
    if (std::memcmp(&stage_.run, &stage_.expected, sizeof stage_.run) != 0) complain("the state");
  }
  /// Only what counts of an image of flags, whose other bits are the host's.
  void keep_image(cpu::CpuState& state) const {
    if (!defines_image(scene_.key)) return;
    u32 flags = cpu::family_flags<cpu::FlagFamily::Image, u64>(0, state.flag_source);
    state.flag_source = cpu::image_of(flags);
  }
  /// Above the width of values that flags are made from is nothing that counts.
  void keep_values(cpu::CpuState& state) const {
    if (!defines_values(scene_.key)) return;
    for (u64* word : {&state.flag_result, &state.flag_source, &state.flag_patch})
      *word &= mask(scene_.key.width);
  }
  /// Of the operands that are in the same slot and in registers.
  bool is_first(u32 operand) const {
    for (u32 i = 0; i < operand; ++i)
      if (in_register(i) && scene_.slots[i] == scene_.slots[operand]) return false;
    return true;
  }

  void check_general(const Outcome& outcome) {
    u64 expected[16];
    std::copy(std::begin(before_.general), std::end(before_.general), expected);
    expected[13] = static_cast<u64>(scene_.left);
    if (in_register(kD) && !is_vector(kD)) expected[host_of(kD)] = scene_.value(kD);
    for (u32 i = 0; i < 16; ++i) {
      bool is_free = i == 4 || (stencil_.clobbers >> i & 1) != 0;
      if (!is_free && after_.general[i] != expected[i])
        complain(fmt::format("register {}: {:x}, not {:x}", i, after_.general[i], expected[i]));
    }
    bool keeps_flags = ((after_.flags ^ before_.flags) & cpu::Flag::kArithmetic) == 0;
    if (stencil_.flag_writers == 0 && !keeps_flags) complain("the host's flags");
    if (((after_.flags ^ outcome.flags) & outcome.told) != 0) complain("what the flags tell");
    if (outcome.rcx && after_.general[1] != *outcome.rcx) complain("rcx");
    if (outcome.rdx && after_.general[2] != *outcome.rdx) complain("rdx");
  }

  void check_vectors() {
    for (u32 i = 0; i < 16; ++i) {
      if ((stencil_.vector_clobbers >> i & 1) != 0) continue;
      Vector expected = before_.vectors[i];
      u32 size = before_.has_avx != 0 ? 32 : 16;
      if (in_register(kD) && is_vector(kD) && i == host_of(kD) && after_.way == Way::Next) {
        std::memcpy(&expected, scene_.at(kD), 32);
        bool is_narrow = !writes_wide(scene_.key);
        if (is_narrow) expected.lanes[2] = expected.lanes[3] = 0;
        if (is_narrow && (stencil_.is_wide || !has_avx_)) size = 16;
      }
      if (std::memcmp(&after_.vectors[i], &expected, size) != 0)
        complain(fmt::format("vector register {}", i));
    }
  }

  void complain(const std::string& what) { complaint_ += (complaint_.empty() ? "" : ", ") + what; }

  Stage& stage_;
  const StencilTables& tables_;
  const Stencil& stencil_;
  Scene& scene_;
  std::mt19937_64& random_;
  bool has_avx_;
  StencilFill fill_;
  Registers before_, after_;
  u32 sticky_ = 0;
  std::string complaint_;
};

/// What the stencil uses is what its key has in registers.
bool uses_only_operands(const StencilKey& key, const Stencil& stencil) {
  auto forms = forms_of(key);
  for (u32 i = 0; i < kStencilOperands; ++i) {
    auto operand = static_cast<StencilOperand>(i);
    bool used = stencil.reads.has(operand) || stencil.writes.has(operand);
    bool given = forms[i % 4] == Form::Register && is_vector_operand(key, i % 4) == (i >= 4);
    if (used && !given) return false;
  }
  return true;
}

/// By bits of Way.
u32 ways_of(const StencilTables& tables, const Stencil& stencil) {
  u32 ways = stencil.falls_through ? 1u : 0;
  if ((stencil.key & Stencil::kDynamicExit) != 0) ways |= 1u << static_cast<u32>(Way::Elsewhere);
  for (const Hole& hole : tables.continuations(stencil))
    ways |= 1u << static_cast<u32>(way_of(hole.kind));
  return ways;
}

/// Until every way out was taken, at least kLeast and at most kMost times.
std::string check(Stage& stage, const StencilTables& tables, const Stencil& stencil, bool has_avx) {
  constexpr u32 kLeast = 200, kMost = 4000;
  const StencilKey& key = stage.scene.key;
  if (key.encode() != stencil.key) return "the key has unknown fields";
  if (!uses_only_operands(key, stencil)) return "it uses registers that are no operands";
  u32 missing = ways_of(tables, stencil);
  for (u32 i = 0; i < kLeast || (missing != 0 && i < kMost); ++i) {
    Round round(stage, tables, stencil, has_avx);
    std::optional<Way> way = round.run();
    if (!way) return fmt::format("run {}: {}", i, round.complaint());
    missing &= ~(1u << static_cast<u32>(*way));
  }
  return missing == 0 ? "" : fmt::format("ways out that were not taken: {:b}", missing);
}

void check_level(HostLevel level) {
  auto stage = std::make_unique<Stage>();
  const StencilTables& tables = stencil_tables(level);
  std::map<u16, u32> by_operation;
  u32 wrong = 0;
  for (const Stencil& stencil : tables.stencils) {
    stage->scene.key = decoded(stencil.key);
    std::string complaint = check(*stage, tables, stencil, level == HostLevel::V3);
    ++by_operation[stage->scene.key.op];
    if (complaint.empty() || ++wrong > 20) continue;
    UNSCOPED_INFO(name_of(stage->scene.key) << ": " << complaint);
  }
  WARN(tables.stencils.size() << " stencils of " << by_operation.size() << " operations");
  CHECK(wrong == 0);
}

TEST_CASE("every stencil of level v2 does what its key says") { check_level(HostLevel::V2); }

TEST_CASE("every stencil of level v3 does what its key says") {
  if (host_level() == HostLevel::V3) check_level(HostLevel::V3);
}

}  // namespace
}  // namespace penumbra::jit::test
