// Handlers of the vector micro-ops: one instance per template, by its shape.
#include "cpu/semantics/vector.h"
#include "jit/interp/handler_support.h"
#include "jit/interp/handlers.h"

namespace penumbra::jit {
namespace {

using cpu::V128;
using translator::MicroOp;
using translator::Op;

template <class T>
inline void put_vector(CpuState* s, Slot slot, T value) {
  store_to<T>(reinterpret_cast<u8*>(s) + slot, value);
}

template <class F>
PENUMBRA_HANDLER vector_unary(PENUMBRA_HANDLER_ARGUMENTS) {
  put_vector(s, u->d, F::eval(get<V128>(s, u->a)));
  PENUMBRA_NEXT;
}
template <class F>
PENUMBRA_HANDLER vector_binary(PENUMBRA_HANDLER_ARGUMENTS) {
  put_vector(s, u->d, F::eval(get<V128>(s, u->a), get<V128>(s, u->b)));
  PENUMBRA_NEXT;
}
template <class F>
PENUMBRA_HANDLER vector_unary_immediate(PENUMBRA_HANDLER_ARGUMENTS) {
  put_vector(s, u->d, F::eval(get<V128>(s, u->a), static_cast<u8>(u->immediate)));
  PENUMBRA_NEXT;
}
template <class F>
PENUMBRA_HANDLER vector_binary_immediate(PENUMBRA_HANDLER_ARGUMENTS) {
  V128 a = get<V128>(s, u->a), b = get<V128>(s, u->b);
  put_vector(s, u->d, F::eval(a, b, static_cast<u8>(u->immediate)));
  PENUMBRA_NEXT;
}
template <class F, Width W, class T>
PENUMBRA_HANDLER vector_from_integer(PENUMBRA_HANDLER_ARGUMENTS) {
  V128 a = get<V128>(s, u->a);
  put_vector(s, u->d, F::template eval<W>(a, get<T>(s, u->b), static_cast<u8>(u->immediate)));
  PENUMBRA_NEXT;
}
template <class F, Width W, class T>
PENUMBRA_HANDLER integer_from_vector(PENUMBRA_HANDLER_ARGUMENTS) {
  u64 value = F::template eval<W>(get<V128>(s, u->a), static_cast<u8>(u->immediate));
  put<T>(s, u->d, static_cast<T>(value));
  PENUMBRA_NEXT;
}
template <class F>
PENUMBRA_HANDLER vector_flags(PENUMBRA_HANDLER_ARGUMENTS) {
  s->flag_source = F::eval(get<V128>(s, u->a), get<V128>(s, u->b));
  PENUMBRA_NEXT;
}
template <class F>
Handler from_integer_handler(Width width) {
  switch (width) {
    case Width::W8:
      return vector_from_integer<F, Width::W8, u8>;
    case Width::W16:
      return vector_from_integer<F, Width::W16, u16>;
    case Width::W32:
      return vector_from_integer<F, Width::W32, u32>;
    default:
      return vector_from_integer<F, Width::W64, u64>;
  }
}
template <class F>
Handler from_vector_handler(Width width) {
  switch (width) {
    case Width::W8:
      return integer_from_vector<F, Width::W8, u8>;
    case Width::W16:
      return integer_from_vector<F, Width::W16, u16>;
    case Width::W32:
      return integer_from_vector<F, Width::W32, u32>;
    default:
      return integer_from_vector<F, Width::W64, u64>;
  }
}

}  // namespace

Handler vector_handler(const MicroOp& op) {
  switch (op.op) {
#define PENUMBRA_PICK_VectorUnary(name) return vector_unary<cpu::name>
#define PENUMBRA_PICK_VectorBinary(name) return vector_binary<cpu::name>
#define PENUMBRA_PICK_VectorUnaryImmediate(name) return vector_unary_immediate<cpu::name>
#define PENUMBRA_PICK_VectorBinaryImmediate(name) return vector_binary_immediate<cpu::name>
#define PENUMBRA_PICK_VectorFromInteger(name) return from_integer_handler<cpu::name>(op.width)
#define PENUMBRA_PICK_IntegerFromVector(name) return from_vector_handler<cpu::name>(op.width)
#define PENUMBRA_PICK_VectorFlags(name) return vector_flags<cpu::name>
#define PENUMBRA_VECTOR_OP(name, shape) \
  case Op::name:                        \
    PENUMBRA_PICK_##shape(name);
#include "cpu/semantics/vector_ops.def"
#undef PENUMBRA_VECTOR_OP
    default:
      return nullptr;
  }
}

}  // namespace penumbra::jit
