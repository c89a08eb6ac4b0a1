// Stencils of the vector micro-ops with operands in their slots: of 128 bits, for MMX registers and
// where the form with registers does not fit.
#include "jit/stencil/sources/vector_lists.h"

namespace penumbra::jit {
namespace {

template <class V, char kOperand>
[[gnu::always_inline]] inline V vector(CpuState* s) {
  return load_from<V>(slot_of<kOperand>(s));
}
template <class F, class V>
PENUMBRA_STENCIL unary(PENUMBRA_STENCIL_ARGUMENTS) {
  store_to<V>(slot_of<'d'>(s), cpu::eval_unary<F>(vector<V, 'a'>(s)));
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class V>
PENUMBRA_STENCIL binary(PENUMBRA_STENCIL_ARGUMENTS) {
  store_to<V>(slot_of<'d'>(s), cpu::eval_binary<F>(vector<V, 'a'>(s), vector<V, 'b'>(s)));
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class V>
PENUMBRA_STENCIL ternary(PENUMBRA_STENCIL_ARGUMENTS) {
  V result = cpu::eval_ternary<F>(vector<V, 'a'>(s), vector<V, 'b'>(s), vector<V, 'c'>(s));
  store_to<V>(slot_of<'d'>(s), result);
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class V>
PENUMBRA_STENCIL unary_immediate(PENUMBRA_STENCIL_ARGUMENTS) {
  store_to<V>(slot_of<'d'>(s), cpu::eval_unary<F>(vector<V, 'a'>(s), small_immediate()));
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class V>
PENUMBRA_STENCIL binary_immediate(PENUMBRA_STENCIL_ARGUMENTS) {
  V result = cpu::eval_binary<F>(vector<V, 'a'>(s), vector<V, 'b'>(s), small_immediate());
  store_to<V>(slot_of<'d'>(s), result);
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class T, Form B>
PENUMBRA_STENCIL from_integer(PENUMBRA_STENCIL_ARGUMENTS) {
  T value = get<T, B, 'b'>(s, b);
  V128 result = F::template eval<kWidthOf<T>>(vector<V128, 'a'>(s), value, small_immediate());
  store_to<V128>(slot_of<'d'>(s), result);
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class T, class V, Form D>
PENUMBRA_STENCIL to_integer(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 value = F::template eval<kWidthOf<T>>(vector<V, 'a'>(s), small_immediate());
  put<T, D>(s, d, static_cast<T>(value));
  PENUMBRA_CONTINUE(to_next);
}
PENUMBRA_STENCIL clear_upper(PENUMBRA_STENCIL_ARGUMENTS) {
  store_to<V128>(slot_of<'d'>(s) + sizeof(V128), _mm_setzero_si128());
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class V>
PENUMBRA_STENCIL flags(PENUMBRA_STENCIL_ARGUMENTS) {
  s->flag_source = F::eval(vector<V, 'a'>(s), vector<V, 'b'>(s));
  PENUMBRA_CONTINUE(to_next);
}

// -- the list
// --------------------------------------------------------------------------------------

using List = Listing<StencilFunction, 4000>;

template <class Micro, class F>
constexpr void each_vector(Op op, F f) {
  constexpr bool kNarrow = std::is_same_v<cpu::NarrowestOf<Micro>, V128>;
  if constexpr (kNarrow) {
    if (!is_left_out<V128>(op)) f.template operator()<V128>();
  }
}
template <class V>
constexpr StencilKey vector_key(Op op) {
  return {.op = code_of(op), .width = kVectorWidth<V>, .d = kSlot, .a = kSlot};
}

template <class F>
constexpr void list_VectorUnary(List& list, Op op) {
  each_vector<F>(op, [&]<class V>() { list.add(vector_key<V>(op), unary<F, V>); });
}
template <class F>
constexpr void list_VectorBinary(List& list, Op op) {
  each_vector<F>(op, [&]<class V>() {
    StencilKey key = vector_key<V>(op);
    key.b = kSlot;
    list.add(key, binary<F, V>);
  });
}
template <class F>
constexpr void list_VectorTernary(List& list, Op op) {
  each_vector<F>(op, [&]<class V>() {
    StencilKey key = vector_key<V>(op);
    key.b = key.c = kSlot;
    list.add(key, ternary<F, V>);
  });
}
template <class F>
constexpr void list_VectorUnaryImmediate(List& list, Op op) {
  each_vector<F>(op, [&]<class V>() { list.add(vector_key<V>(op), unary_immediate<F, V>); });
}
template <class F>
constexpr void list_VectorBinaryImmediate(List& list, Op op) {
  each_vector<F>(op, [&]<class V>() {
    StencilKey key = vector_key<V>(op);
    key.b = kSlot;
    list.add(key, binary_immediate<F, V>);
  });
}
template <class F>
constexpr void list_VectorTernaryImmediate(List&, Op) {}
template <class F>
constexpr void list_VectorFromInteger(List& list, Op op) {
  each_width([&]<class T>(T) {
    each<kRegister, kSlot>([&]<Form B>() {
      list.add({.op = code_of(op), .width = kWidthOf<T>, .d = kSlot, .a = kSlot, .b = B},
               from_integer<F, T, B>);
    });
  });
}
template <class F>
constexpr void list_IntegerFromVector(List& list, Op op) {
  each_width([&]<class T>(T) {
    each<kRegister, kSlot>([&]<Form D>() {
      StencilKey key{.op = code_of(op), .width = kWidthOf<T>, .d = D, .a = kSlot};
      list.add(key, to_integer<F, T, V128, D>);
    });
  });
}
template <class F>
constexpr void list_VectorClear(List& list, Op op) {
  list.add({.op = code_of(op), .width = Width::W128, .d = kSlot}, clear_upper);
}
template <class F>
constexpr void list_VectorFlags(List& list, Op op) {
  StencilKey key{.op = code_of(op), .width = Width::W128, .a = kSlot, .b = kSlot};
  list.add(key, flags<F, V128>);
}

constexpr auto make() {
  List list;
#define PENUMBRA_VECTOR_OP(name, shape) list_##shape<cpu::name>(list, Op::name);
#include "cpu/semantics/vector_ops.def"
#undef PENUMBRA_VECTOR_OP
  return list;
}

PENUMBRA_LIST kVectors = listed<make>();

}  // namespace
}  // namespace penumbra::jit
