// Handlers of the vector micro-ops: one instance per template, by its shape.
#include "cpu/semantics/vector.h"
#include "jit/interp/handler_support.h"
#include "jit/interp/handlers.h"

namespace penumbra::jit {
namespace {

using cpu::V128;
using cpu::V256;
using translator::MicroOp;
using translator::Op;

template <class T>
constexpr Width kWidthOf = static_cast<Width>(__builtin_ctz(sizeof(T)));

template <class T>
inline void put_vector(CpuState* s, Slot slot, T value) {
  store_to<T>(reinterpret_cast<u8*>(s) + slot, value);
}

template <class F, class V>
PENUMBRA_HANDLER vector_unary(PENUMBRA_HANDLER_ARGUMENTS) {
  put_vector(s, u->d, cpu::eval_unary<F>(get<V>(s, u->a)));
  PENUMBRA_NEXT;
}
template <class F, class V>
PENUMBRA_HANDLER vector_binary(PENUMBRA_HANDLER_ARGUMENTS) {
  put_vector(s, u->d, cpu::eval_binary<F>(get<V>(s, u->a), get<V>(s, u->b)));
  PENUMBRA_NEXT;
}
template <class F, class V>
PENUMBRA_HANDLER vector_unary_immediate(PENUMBRA_HANDLER_ARGUMENTS) {
  put_vector(s, u->d, cpu::eval_unary<F>(get<V>(s, u->a), static_cast<u8>(u->immediate)));
  PENUMBRA_NEXT;
}
template <class F, class V>
PENUMBRA_HANDLER vector_binary_immediate(PENUMBRA_HANDLER_ARGUMENTS) {
  V a = get<V>(s, u->a), b = get<V>(s, u->b);
  put_vector(s, u->d, cpu::eval_binary<F>(a, b, static_cast<u8>(u->immediate)));
  PENUMBRA_NEXT;
}
template <class F, class V>
PENUMBRA_HANDLER vector_ternary(PENUMBRA_HANDLER_ARGUMENTS) {
  V a = get<V>(s, u->a), b = get<V>(s, u->b), c = get<V>(s, u->c);
  put_vector(s, u->d, cpu::eval_ternary<F>(a, b, c));
  PENUMBRA_NEXT;
}
template <class F>
PENUMBRA_HANDLER vector_ternary_immediate(PENUMBRA_HANDLER_ARGUMENTS) {
  V128 a = get<V128>(s, u->a), b = get<V128>(s, u->b), c = get<V128>(s, u->c);
  put_vector(s, u->d, F::eval(a, b, c, static_cast<u8>(u->immediate)));
  PENUMBRA_NEXT;
}
template <class F, Width W, class T>
PENUMBRA_HANDLER vector_from_integer(PENUMBRA_HANDLER_ARGUMENTS) {
  V128 a = get<V128>(s, u->a);
  put_vector(s, u->d, F::template eval<W>(a, get<T>(s, u->b), static_cast<u8>(u->immediate)));
  PENUMBRA_NEXT;
}
template <class F, Width W, class T, class V>
PENUMBRA_HANDLER integer_from_vector(PENUMBRA_HANDLER_ARGUMENTS) {
  u64 value = F::template eval<W>(get<V>(s, u->a), static_cast<u8>(u->immediate));
  put<T>(s, u->d, static_cast<T>(value));
  PENUMBRA_NEXT;
}
PENUMBRA_HANDLER clear_upper(PENUMBRA_HANDLER_ARGUMENTS) {
  put_vector(s, static_cast<Slot>(u->d + sizeof(V128)), _mm_setzero_si128());
  PENUMBRA_NEXT;
}
template <class F, class V>
PENUMBRA_HANDLER vector_flags(PENUMBRA_HANDLER_ARGUMENTS) {
  s->flag_source = F::eval(get<V>(s, u->a), get<V>(s, u->b));
  PENUMBRA_NEXT;
}

template <class F>
Handler from_integer_handler(Width width) {
  Handler handler = nullptr;
  for_width(width, [&]<class T>(T) { handler = vector_from_integer<F, kWidthOf<T>, T>; });
  return handler;
}
template <class F>
Handler from_vector_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) {
    handler = integer_from_vector<F, kWidthOf<T>, T, V128>;
    if constexpr (requires(V256 a) { F::template eval<Width::W32>(a, u8{}); }) {
      if (op.from == Width::W256) handler = integer_from_vector<F, kWidthOf<T>, T, V256>;
    }
  });
  return handler;
}
template <class F>
Handler flags_handler_of(Width width) {
  if constexpr (requires(V256 a) { F::eval(a, a); }) {
    if (width == Width::W256) return vector_flags<F, V256>;
  }
  return vector_flags<F, V128>;
}

}  // namespace

Handler vector_handler(const MicroOp& op) {
  switch (op.op) {
#define PENUMBRA_BY_WIDTH(handler, name)                    \
  return op.width == Width::W256 ? handler<cpu::name, V256> \
                                 : handler<cpu::name, cpu::NarrowestOf<cpu::name>>
#define PENUMBRA_PICK_VectorUnary(name) PENUMBRA_BY_WIDTH(vector_unary, name)
#define PENUMBRA_PICK_VectorBinary(name) PENUMBRA_BY_WIDTH(vector_binary, name)
#define PENUMBRA_PICK_VectorUnaryImmediate(name) PENUMBRA_BY_WIDTH(vector_unary_immediate, name)
#define PENUMBRA_PICK_VectorBinaryImmediate(name) PENUMBRA_BY_WIDTH(vector_binary_immediate, name)
#define PENUMBRA_PICK_VectorTernary(name) PENUMBRA_BY_WIDTH(vector_ternary, name)
#define PENUMBRA_PICK_VectorTernaryImmediate(name) return vector_ternary_immediate<cpu::name>
#define PENUMBRA_PICK_VectorFromInteger(name) return from_integer_handler<cpu::name>(op.width)
#define PENUMBRA_PICK_IntegerFromVector(name) return from_vector_handler<cpu::name>(op)
#define PENUMBRA_PICK_VectorClear(name) return clear_upper
#define PENUMBRA_PICK_VectorFlags(name) return flags_handler_of<cpu::name>(op.width)
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
