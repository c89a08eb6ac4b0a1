// Handlers that leave a block or may: jumps, named operations, raised faults, checks.
#include "cpu/semantics/divide.h"
#include "cpu/semantics/vector_checked.h"
#include "jit/interp/handler_support.h"
#include "jit/interp/handlers.h"

namespace penumbra::jit {
namespace {

using translator::MicroOp;
using translator::Op;

template <bool kStoresState>
PENUMBRA_HANDLER jump_linked(PENUMBRA_HANDLER_ARGUMENTS) {
  if constexpr (kStoresState) store_flag_state(s, u);
  PENUMBRA_ENTER(reinterpret_cast<const BlockCode*>(u->immediate));
}

PENUMBRA_HANDLER jump_unlinked(PENUMBRA_HANDLER_ARGUMENTS) {
  store_flag_state(s, u);
  const BlockCode* block = engine(s).link(u);
  if (block == nullptr) {
    return stop_at(s, engine(s).slow().rip_at(static_cast<i64>(u->displacement)), left,
                   Stop::Lookup);
  }
  PENUMBRA_ENTER(block);
}

PENUMBRA_HANDLER jump_far(PENUMBRA_HANDLER_ARGUMENTS) {
  store_flag_state(s, u);
  u64 rip = engine(s).slow().rip_at(static_cast<i64>(u->displacement));
  const BlockCode* block = engine(s).probe(*s, t, rip);
  if (block == nullptr) [[unlikely]]
    return stop_at(s, rip, left, Stop::Lookup);
  PENUMBRA_ENTER(block);
}

PENUMBRA_HANDLER jump_dynamic(PENUMBRA_HANDLER_ARGUMENTS) {
  store_flag_state(s, u);
  u64 rip = get<u64>(s, u->a);
  const BlockCode* block = engine(s).probe(*s, t, rip);
  if (block == nullptr) [[unlikely]]
    return stop_at(s, rip, left, Stop::Lookup);
  PENUMBRA_ENTER(block);
}

PENUMBRA_HANDLER leave(PENUMBRA_HANDLER_ARGUMENTS) { stop_before(s, u, left, Stop::Lookup); }

PENUMBRA_HANDLER back(PENUMBRA_HANDLER_ARGUMENTS) {}

PENUMBRA_HANDLER check_next_page(PENUMBRA_HANDLER_ARGUMENTS) {
  if (!engine(s).check_next_page(*s, u, left)) return;
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER call(PENUMBRA_HANDLER_ARGUMENTS) {
  s->instructions_left = left;
  if (!engine(s).call(*s, u)) return;
  left = s->instructions_left;
  t = static_cast<const mmu::ShadowTable*>(s->table);
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER raise(PENUMBRA_HANDLER_ARGUMENTS) {
  engine(s).slow().set_fault(Fault::of(static_cast<Vector>(u->immediate)));
  stop_before(s, u, left, Stop::Fault);
}

PENUMBRA_HANDLER check_target(PENUMBRA_HANDLER_ARGUMENTS) {
  if (!engine(s).slow().valid_target(get<u64>(s, u->a))) [[unlikely]] {
    engine(s).slow().set_fault(Fault::gp());
    return stop_before(s, u, left, Stop::Fault);
  }
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER check_fpu(PENUMBRA_HANDLER_ARGUMENTS) {
  if (!engine(s).slow().check_fpu()) [[unlikely]]
    return stop_before(s, u, left, Stop::Fault);
  PENUMBRA_NEXT;
}

template <class T, bool kSigned>
PENUMBRA_HANDLER check_divide(PENUMBRA_HANDLER_ARGUMENTS) {
  if (!cpu::divides<T, kSigned>(get<T>(s, u->a), get<T>(s, u->c), get<T>(s, u->b))) [[unlikely]] {
    engine(s).slow().set_fault(Fault::of(Vector::De));
    return stop_before(s, u, left, Stop::Fault);
  }
  PENUMBRA_NEXT;
}

Handler check_divide_handler(const MicroOp& op) {
  Handler handler = nullptr;
  bool is_signed = op.immediate != 0;
  for_width(op.width, [&]<class T>(T) {
    handler = is_signed ? check_divide<T, true> : check_divide<T, false>;
  });
  return handler;
}

PENUMBRA_HANDLER begin_sse(PENUMBRA_HANDLER_ARGUMENTS) {
  s->mxcsr = cpu::begin_checked(s->mxcsr);
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER end_sse(PENUMBRA_HANDLER_ARGUMENTS) {
  if (!engine(s).slow().end_checked_sse(u->immediate, u->a, u->b, u->c))
    return stop_before(s, u, left, Stop::Fault);
  PENUMBRA_NEXT;
}

Handler jump_handler(const MicroOp& op) {
  bool in_page = op.immediate < kPageSize;
  return in_page ? jump_unlinked : jump_far;
}

}  // namespace

Handler leave_handler() { return leave; }
Handler return_handler() { return back; }
Handler next_page_check() { return check_next_page; }

void unlink_jump(Uop& jump) {
  jump.handler = jump_unlinked;
  jump.scale = 0;
}

void link_jump(Uop& jump, const BlockCode& target) {
  jump.handler = flag_state_of(&jump).unknown() ? jump_linked<false> : jump_linked<true>;
  jump.immediate = reinterpret_cast<u64>(&target);
  jump.scale = kLinked;
}

__attribute__((noinline)) void stop_slice(CpuState* s, const BlockCode* block, i64 left) {
  stop_at(s, engine(s).slow().rip_at(block->owner->ir.start), left, Stop::Slice);
}

Handler control_handler(const MicroOp& op) {
  switch (op.op) {
    case Op::Jump:
      return jump_handler(op);
    case Op::JumpDynamic:
      return jump_dynamic;
    case Op::Call:
      return call;
    case Op::Raise:
      return raise;
    case Op::CheckTarget:
      return check_target;
    case Op::CheckDivide:
      return check_divide_handler(op);
    case Op::CheckFpu:
      return check_fpu;
    case Op::BeginSse:
      return begin_sse;
    case Op::EndSse:
      return end_sse;
    default:
      return nullptr;
  }
}

}  // namespace penumbra::jit
