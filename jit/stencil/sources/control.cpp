// Stencils of control: block entry, jumps that leave a page, calls' return stack.
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

[[gnu::always_inline]] inline StencilFunction* code_at(const void* code) {
  return reinterpret_cast<StencilFunction*>(const_cast<void*>(code));
}

/// To RIP = a, which goes to state.rip.
template <Form A>
PENUMBRA_STENCIL dispatch(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 rip = get<u64, A, 'a'>(s, a);
  s->rip = rip;
  const auto& entry = s->jumps[CpuState::jump_index(rip, s->jump_seed)];
  if (entry.rip != rip || entry.key != s->execute_key) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  s->code_base = entry.code_base;
  PENUMBRA_CONTINUE(code_at(entry.code));
}

[[gnu::always_inline]] inline CpuState::ReturnEntry& return_at(CpuState* s, u32 offset) {
  return *reinterpret_cast<CpuState::ReturnEntry*>(reinterpret_cast<u8*>(s->returns) + offset);
}
constexpr u32 kReturnMask = (CpuState::kReturns - 1) * sizeof(CpuState::ReturnEntry);

/// The landing finds RIP in state.rip, and so does Slow.
template <Form A>
PENUMBRA_STENCIL dispatch_return(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 rip = get<u64, A, 'a'>(s, a);
  s->rip = rip;
  u32 newest = s->newest_return;
  const auto& entry = return_at(s, newest);
  if (entry.rip != rip || entry.key != s->execute_key) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  s->newest_return = (newest - sizeof entry) & kReturnMask;
  PENUMBRA_CONTINUE(code_at(entry.landing));
}

template <Form A>
PENUMBRA_STENCIL push_return(PENUMBRA_STENCIL_ARGUMENTS) {
  u32 newest = (s->newest_return + sizeof(CpuState::ReturnEntry)) & kReturnMask;
  auto& entry = return_at(s, newest);
  entry.rip = get<u64, A, 'a'>(s, a);
  entry.key = s->execute_key;
  entry.landing = reinterpret_cast<const void*>(opaque<Width::W64>(hole_immediate));
  s->newest_return = newest;
  PENUMBRA_CONTINUE(to_next);
}

PENUMBRA_STENCIL landing(PENUMBRA_STENCIL_ARGUMENTS) {
  s->code_base = s->rip - immediate<u64>();
  PENUMBRA_CONTINUE(to_next);
}

template <Form A>
PENUMBRA_STENCIL check_canonical(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 rip = get<u64, A, 'a'>(s, a);
  if (static_cast<u64>(static_cast<i64>(rip << 16) >> 16) != rip) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  PENUMBRA_CONTINUE(to_next);
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
  list.add({.op = code_of(Special::Landing)}, landing);
  each<kRegister, kSlot>([&]<Form A>() {
    list.add({.op = code_of(Special::DispatchReturn), .a = A, .leaves_dynamically = true},
             dispatch_return<A>);
    list.add({.op = code_of(Special::Dispatch), .a = A, .leaves_dynamically = true}, dispatch<A>);
    list.add({.op = code_of(Special::PushReturn), .a = A, .wide = true}, push_return<A>);
    list.add({.op = code_of(Special::CheckCanonical), .a = A}, check_canonical<A>);
    list.add({.op = code_of(Special::CheckLimit), .a = A}, check_limit<A>);
  });
  return list;
}

PENUMBRA_LIST kControl = listed<make>();

}  // namespace
}  // namespace penumbra::jit
