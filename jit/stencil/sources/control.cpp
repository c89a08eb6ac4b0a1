// Stencils of control: block entry, jumps that leave a page, dynamic jumps, remembered returns.
//
// Every shortcut holds for one execute key, which stands for the mode and the code mappings in
// force. Where that is another one, C++ asks the shadow table where RIP's code is: a block does not
// depend on its linear address.
#include "jit/stencil/far_link.h"
#include "jit/stencil/sources/operands.h"

namespace penumbra::jit {
namespace {

/// Charges the block's instructions.
PENUMBRA_STENCIL enter(PENUMBRA_STENCIL_ARGUMENTS) {
  asm("subq %1, %0" : "+r"(left) : "i"(hole_immediate) : "cc");
  if (left < s->stop_below) [[unlikely]]
    PENUMBRA_CONTINUE(to_exit);
  PENUMBRA_CONTINUE(to_next);
}

/// The immediate is the address of the FarLinkCache.
PENUMBRA_STENCIL far_link(PENUMBRA_STENCIL_ARGUMENTS) {
  auto* cache = reinterpret_cast<const FarLinkCache*>(opaque<Width::W64>(hole_immediate));
  if (cache->key != s->execute_key || cache->from_base != s->code_base) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  s->code_base = cache->to_base;
  PENUMBRA_CONTINUE(to_next);
}

// A seventh argument, in rdx, is the target of a dynamic jump: code that such jumps reach, and
// Slow, find it there.
#define PENUMBRA_TARGET_ARGUMENTS PENUMBRA_STENCIL_ARGUMENTS, [[maybe_unused]] u64 rip
#define PENUMBRA_TARGET_CONTINUE(where) [[clang::musttail]] return where(s, left, d, a, b, c, rip)
extern "C" {
PENUMBRA_STENCIL to_next_target(PENUMBRA_TARGET_ARGUMENTS) asm("to_next");
PENUMBRA_STENCIL to_slow_target(PENUMBRA_TARGET_ARGUMENTS) asm("to_slow");
}
using TargetFunction = PENUMBRA_STENCIL(PENUMBRA_TARGET_ARGUMENTS);

[[gnu::always_inline]] inline TargetFunction* code_at(const void* code) {
  return reinterpret_cast<TargetFunction*>(const_cast<void*>(code));
}

/// What a block begins with for dynamic jumps: code_base = RIP + displacement.
PENUMBRA_STENCIL arrive(PENUMBRA_TARGET_ARGUMENTS) {
  s->code_base = rip + reinterpret_cast<u64>(hole_displacement);
  PENUMBRA_TARGET_CONTINUE(to_next_target);
}

/// In rdx from the start.
template <Form A>
[[gnu::always_inline]] inline u64 target(CpuState* s, u64 a) {
  u64 rip = get<u64, A, 'a'>(s, a);
  asm("" : "+d"(rip));
  return rip;
}

/// To RIP = a.
template <Form A>
PENUMBRA_STENCIL dispatch(PENUMBRA_TARGET_ARGUMENTS) {
  rip = target<A>(s, a);
  u64 at = CpuState::jump_offset(rip);
  asm("addq %c1(%2), %0" : "+r"(at) : "i"(offsetof(CpuState, jumps)), "r"(s) : "cc");
  const auto& entry = *reinterpret_cast<const CpuState::JumpEntry*>(at);
  if (entry.rip != rip || entry.key != s->execute_key) [[unlikely]]
    PENUMBRA_TARGET_CONTINUE(to_slow_target);
  PENUMBRA_TARGET_CONTINUE(code_at(entry.code));
}

/// For a return address at `stack`.
[[gnu::always_inline]] inline CpuState::ReturnEntry& return_at(CpuState* s, u64 stack) {
  u64 half = CpuState::half_return_offset(stack);
  return *reinterpret_cast<CpuState::ReturnEntry*>(reinterpret_cast<u64>(s->returns) + 2 * half);
}
static_assert(sizeof(CpuState::ReturnEntry) == 16);

/// To RIP = a, which was at b + displacement.
template <Form A>
PENUMBRA_STENCIL dispatch_return(PENUMBRA_TARGET_ARGUMENTS) {
  rip = target<A>(s, a);
  u64 stack = b + reinterpret_cast<u64>(hole_displacement);
  asm("" : "+r"(stack));
  const auto& entry = return_at(s, stack);
  if (entry.rip != rip) [[unlikely]]
    PENUMBRA_TARGET_CONTINUE(to_slow_target);
  PENUMBRA_TARGET_CONTINUE(code_at(entry.code));
}

/// RIP a was pushed at b; the immediate is the address of the code there.
template <Form A>
PENUMBRA_STENCIL push_return(PENUMBRA_STENCIL_ARGUMENTS) {
  auto& entry = return_at(s, b);
  entry.rip = get<u64, A, 'a'>(s, a);
  entry.code = reinterpret_cast<const void*>(opaque<Width::W64>(hole_immediate));
  PENUMBRA_CONTINUE(to_next);
}

[[gnu::always_inline]] inline bool is_canonical(u64 rip) {
  return static_cast<u64>(static_cast<i64>(rip << 16) >> 16) == rip;
}
template <Form A>
PENUMBRA_STENCIL check_canonical(PENUMBRA_STENCIL_ARGUMENTS) {
  if (!is_canonical(get<u64, A, 'a'>(s, a))) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  PENUMBRA_CONTINUE(to_next);
}
/// Of a target that a dynamic jump did not find.
PENUMBRA_STENCIL check_canonical_target(PENUMBRA_TARGET_ARGUMENTS) {
  if (!is_canonical(rip)) [[unlikely]]
    PENUMBRA_TARGET_CONTINUE(to_slow_target);
  PENUMBRA_TARGET_CONTINUE(to_next_target);
}
template <Form A>
PENUMBRA_STENCIL check_limit(PENUMBRA_STENCIL_ARGUMENTS) {
  if (get<u64, A, 'a'>(s, a) > s->seg(Segment::Cs).limit) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  PENUMBRA_CONTINUE(to_next);
}

constexpr auto make() {
  Listing<StencilFunction, 20> list;
  list.add({.op = code_of(Special::Enter), .writes_left = true}, enter);
  list.add({.op = code_of(Special::FarLink), .wide = true}, far_link);
  each<kRegister, kSlot>([&]<Form A>() {
    list.add({.op = code_of(Special::PushReturn), .a = A, .b = kRegister, .wide = true},
             push_return<A>);
    list.add({.op = code_of(Special::CheckCanonical), .a = A}, check_canonical<A>);
    list.add({.op = code_of(Special::CheckLimit), .a = A}, check_limit<A>);
  });
  return list;
}

constexpr auto make_dynamic() {
  Listing<TargetFunction, 20> list;
  list.add({.op = code_of(Special::Arrive)}, arrive);
  list.add({.op = code_of(Special::CheckCanonical)}, check_canonical_target);
  each<kRegister, kSlot>([&]<Form A>() {
    list.add({.op = code_of(Special::DispatchReturn),
              .a = A,
              .b = kRegister,
              .leaves_dynamically = true},
             dispatch_return<A>);
    list.add({.op = code_of(Special::Dispatch), .a = A, .leaves_dynamically = true}, dispatch<A>);
  });
  return list;
}

PENUMBRA_LIST kControl = listed<make>();
PENUMBRA_LIST kDynamic = listed<make_dynamic>();

}  // namespace
}  // namespace penumbra::jit
