// One run of a stencil of the engine: a CPU's state with the operands in slots, the values of holes
// and guest memory, all random or corners, and what its key says that comes of it.
//
// In a scene every operand is in its slot; who runs the stencil puts those that it takes from
// registers there. The meaning of a micro-op is tier 0's handler; what is no micro-op has its
// contract in specials.cpp.
#pragma once

#include <array>
#include <optional>
#include <random>

#include "jit/stencil/far_link.h"
#include "jit/stencil/key.h"
#include "mmu/mapped_array.h"
#include "mmu/shadow_table.h"
#include "tests/stencil/runner.h"

namespace penumbra::jit::test {

StencilKey decoded(u64 key);
inline bool is_special(const StencilKey& key) { return key.op >= code_of(Special::Enter); }
inline Op op_of(const StencilKey& key) { return static_cast<Op>(key.op); }

/// Operands by number: d, a, b, c.
constexpr u32 kD = 0, kA = 1, kB = 2, kC = 3, kNoOperand = 4;
inline std::array<Form, 4> forms_of(const StencilKey& key) { return {key.d, key.a, key.b, key.c}; }
bool is_vector_operand(const StencilKey& key, u32 operand);
/// The operand that is an addend looked up before; kNoOperand where there is none.
u32 anchor_operand(const StencilKey& key);
/// Whether a + (b << scale) + displacement is the linear address of something.
bool has_address(const StencilKey& key);

/// Pages of a guest with every kind of entry in the shadow table.
class Pages {
 public:
  static constexpr u64 kWritable = 0x1000, kReadOnly = 0x2000, kTracked = 0x3000, kAbsent = 0x4000,
                       kHigh = 0xffff'ffff'8100'0000;
  static constexpr u64 kPages[] = {kWritable, kReadOnly, kTracked, kAbsent, kHigh};

  explicit Pages(std::mt19937_64& random);
  mmu::ShadowTable& table() { return *table_.data(); }
  u8* bytes() { return bytes_.data(); }
  using Contents = std::array<u8, 4 * kPageSize>;
  Contents& contents() { return bytes_; }

 private:
  mmu::MappedArray<mmu::ShadowTable> table_{1};
  alignas(kPageSize) Contents bytes_;
};

struct Scene {
  StencilKey key;
  cpu::CpuState state;
  std::array<translator::Slot, 4> slots{};  ///< of d, a, b, c
  u64 immediate = 0;
  i32 displacement = 0;
  i64 left = 0;
  u64 rdx = 0;         ///< in front, for stencils that find something there
  u32 host_flags = 0;  ///< arithmetic flags of the host in front
  Pages* pages = nullptr;
  FarLinkCache far_link;
  const void* elsewhere = nullptr;

  u8* at(u32 operand) { return reinterpret_cast<u8*>(&state) + slots[operand]; }
  u64 value(u32 operand) { return load_from<u64>(at(operand)); }
  /// Of an operand in whatever form.
  u64 operand(u32 number);
  u64 linear();
};

/// What comes of a scene, whose state and memory are then those behind it.
struct Outcome {
  Way way = Way::Next;
  bool may_be_slow = false;               ///< Slow, with nothing changed, is right as well
  std::optional<u64> rcx = {}, rdx = {};  ///< where continuations look at them
  u32 told = 0, flags = 0;                ///< of the host's flags those that the generator looks at
};

/// Fills the scene's operands with values that the key may meet; some are equal, in one slot.
/// `hole` is the type of the immediate's hole.
void prepare(Scene& scene, HoleType hole, std::mt19937_64& random);
/// nullopt: the key means nothing that is known here.
std::optional<Outcome> perform(Scene& scene);
std::optional<Outcome> perform_special(Scene& scene);
void prepare_special(Scene& scene, std::mt19937_64& random);

u64 corner_or_random(std::mt19937_64& random);

}  // namespace penumbra::jit::test
