// Fused handlers: what one instruction's micro-ops so often are that one dispatch pays for all.
//
// push (store and move RSP), pop, near return, and arithmetic with a loaded operand. Each does what
// its micro-ops do, in their order; the slow path of a load or store is theirs too.
#include "jit/interp/handler_support.h"
#include "jit/interp/handlers.h"

namespace penumbra::jit {
namespace {

using translator::kNoSlot;
using translator::MicroOp;
using translator::Op;

inline u64 address_of(const CpuState* s, const Uop* u) {
  return get<u64>(s, u->a) + (get<u64>(s, u->b) << u->scale) + static_cast<i64>(u->displacement);
}

/// Loads at the uop's address; false: stopped with a fault.
template <class T>
inline bool load(CpuState* s, const Uop* u, const mmu::ShadowTable* t, u64 linear, T& value) {
  const u8* host = t->for_read(linear, sizeof(T));
  if (host == nullptr) [[unlikely]]
    return engine(s).read(u, linear, &value, sizeof value);
  value = load_from<T>(host);
  return true;
}

// -- stack: a = RSP
// ----------------------------------------------------------------------------------

template <bool kImmediate>
PENUMBRA_HANDLER push(PENUMBRA_HANDLER_ARGUMENTS) {
  u64 value = kImmediate ? u->immediate : get<u64>(s, u->c);
  u64 top = get<u64>(s, u->a) + static_cast<i64>(u->displacement);
  u8* host = t->for_write(top, sizeof value);
  if (host != nullptr) [[likely]] {
    store_to<u64>(host, value);
  } else if (!engine(s).write(u, top, &value, sizeof value)) {
    return stop_before(s, u, left, Stop::Fault);
  }
  put<u64>(s, u->a, top);
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER pop(PENUMBRA_HANDLER_ARGUMENTS) {
  u64 top = get<u64>(s, u->a), value;
  if (!load(s, u, t, top, value)) [[unlikely]]
    return stop_before(s, u, left, Stop::Fault);
  put<u64>(s, u->d, value);
  put<u64>(s, u->a, top + u->immediate);
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER near_return(PENUMBRA_HANDLER_ARGUMENTS) {
  u64 top = get<u64>(s, u->a), rip;
  if (!load(s, u, t, top, rip)) [[unlikely]]
    return stop_before(s, u, left, Stop::Fault);
  if (!engine(s).slow().valid_target(rip)) [[unlikely]] {
    engine(s).slow().set_fault(Fault::gp());
    return stop_before(s, u, left, Stop::Fault);
  }
  put<u64>(s, u->a, top + u->immediate);
  store_flag_state(s, u);
  const BlockCode* block = engine(s).probe(*s, t, rip);
  if (block == nullptr) [[unlikely]]
    return stop_at(s, rip, left, Stop::Lookup);
  PENUMBRA_ENTER(block);
}

// -- arithmetic with a loaded operand: d = F(d, [address])
// -------------------------------------------

template <class F, class T, Effect E>
PENUMBRA_HANDLER with_loaded(PENUMBRA_HANDLER_ARGUMENTS) {
  T b;
  if (!load(s, u, t, address_of(s, u), b)) [[unlikely]] {
    return stop_before(s, u, left, Stop::Fault);
  }
  cpu::Result<T> result = F::template eval<T>(get<T>(s, u->d), b);
  commit<F, E, T>(s, u, result);
  PENUMBRA_NEXT;
}

template <class F>
Handler with_loaded_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) {
    Effect effect = effect_of(op);
    handler = effect == Effect::Value   ? with_loaded<F, T, Effect::Value>
              : effect == Effect::Flags ? with_loaded<F, T, Effect::Flags>
                                        : with_loaded<F, T, Effect::ValueAndFlags>;
  });
  return handler;
}

Handler with_loaded_handler_of(const MicroOp& op) {
  switch (op.op) {
    case Op::Add:
      return with_loaded_handler<cpu::Add>(op);
    case Op::Sub:
      return with_loaded_handler<cpu::Sub>(op);
    case Op::And:
      return with_loaded_handler<cpu::And>(op);
    case Op::Or:
      return with_loaded_handler<cpu::Or>(op);
    case Op::Xor:
      return with_loaded_handler<cpu::Xor>(op);
    default:
      return nullptr;
  }
}

// -- recognition
// -------------------------------------------------------------------------------------

constexpr Slot kRsp = translator::gpr_slot(4);

bool moves_rsp(const MicroOp& op) {
  return op.op == Op::Lea && op.d == kRsp && op.a == kRsp && op.b == translator::kZeroSlot &&
         op.width == Width::W64;
}

/// An access of 64 bits at [RSP + displacement] by the flat 64-bit stack.
bool at_stack(const MicroOp& op, i32 displacement) {
  return op.a == kRsp && op.b == translator::kZeroSlot && op.width == Width::W64 &&
         op.displacement == displacement;
}

size_t fuse_push(std::span<const MicroOp> ops, Uop& uop) {
  if (ops.size() < 2 || ops[0].op != Op::Store || !moves_rsp(ops[1]) ||
      !at_stack(ops[0], ops[1].displacement)) {
    return 0;
  }
  uop.handler = ops[0].c == kNoSlot ? push<true> : push<false>;
  uop.c = ops[0].c;
  uop.immediate = ops[0].immediate;
  uop.a = kRsp;
  uop.displacement = ops[0].displacement;
  return 2;
}

size_t fuse_pop(std::span<const MicroOp> ops, Uop& uop) {
  if (ops.size() < 2 || ops[0].op != Op::Load || !at_stack(ops[0], 0) || !moves_rsp(ops[1]) ||
      ops[0].d == kRsp) {
    return 0;
  }
  uop.handler = pop;
  uop.d = ops[0].d;
  uop.a = kRsp;
  uop.immediate = static_cast<u64>(i64{ops[1].displacement});
  return 2;
}

size_t fuse_return(std::span<const MicroOp> ops, Uop& uop) {
  if (ops.size() < 4 || ops[0].op != Op::Load || !at_stack(ops[0], 0) ||
      ops[1].op != Op::CheckTarget || ops[1].a != ops[0].d || !moves_rsp(ops[2]) ||
      ops[3].op != Op::JumpDynamic || ops[3].a != ops[0].d) {
    return 0;
  }
  uop.handler = near_return;
  uop.a = kRsp;
  uop.immediate = static_cast<u64>(i64{ops[2].displacement});
  uop.extra = static_cast<u8>(ops[3].flags_before.kind);
  uop.c = static_cast<u8>(ops[3].flags_before.modifier);
  return 4;
}

size_t fuse_loaded(std::span<const MicroOp> ops, Uop& uop) {
  if (ops.size() < 2 || ops[0].op != Op::Load || ops[1].b_is_immediate ||
      ops[0].instruction != ops[1].instruction) {
    return 0;
  }
  const MicroOp &load_op = ops[0], &op = ops[1];
  bool same = op.b == load_op.d && op.a != load_op.d && op.width == load_op.width &&
              translator::is_temporary(load_op.d) && (op.d == op.a || op.d == kNoSlot);
  Handler handler = same ? with_loaded_handler_of(op) : nullptr;
  if (handler == nullptr) return 0;
  uop.handler = handler;
  uop.d = op.a;
  uop.a = load_op.a;
  uop.b = load_op.b;
  uop.scale = load_op.scale;
  uop.displacement = load_op.displacement;
  return 2;
}

}  // namespace

size_t fuse(std::span<const MicroOp> ops, Uop& uop) {
  for (auto attempt : {fuse_push, fuse_return, fuse_pop, fuse_loaded}) {
    if (size_t taken = attempt(ops, uop); taken != 0) return taken;
  }
  return 0;
}

}  // namespace penumbra::jit
