// Stencils of the vector micro-ops with their vectors in registers, and the moves between registers
// and slots.
#include "jit/stencil/sources/vector_lists.h"

namespace penumbra::jit {
namespace {

template <class V>
constexpr auto* kNext = [] {
#ifdef __AVX2__
  if constexpr (sizeof(V) == 32) return to_next_vector256;
#endif
  if constexpr (sizeof(V) == 16) return to_next_vector;
}();
#define PENUMBRA_CONTINUE_WITH(V) PENUMBRA_VECTOR_CONTINUE(kNext<V>)

template <class F, class V>
PENUMBRA_STENCIL unary(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  vd = cpu::eval_unary<F>(va);
  PENUMBRA_CONTINUE_WITH(V);
}
template <class F, class V>
PENUMBRA_STENCIL binary(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  vd = cpu::eval_binary<F>(va, vb);
  PENUMBRA_CONTINUE_WITH(V);
}
template <class F, class V>
PENUMBRA_STENCIL ternary(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  vd = cpu::eval_ternary<F>(va, vb, vc);
  PENUMBRA_CONTINUE_WITH(V);
}
template <class F, class V>
PENUMBRA_STENCIL unary_immediate(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  vd = cpu::eval_unary<F>(va, small_immediate());
  PENUMBRA_CONTINUE_WITH(V);
}
template <class F, class V>
PENUMBRA_STENCIL binary_immediate(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  vd = cpu::eval_binary<F>(va, vb, small_immediate());
  PENUMBRA_CONTINUE_WITH(V);
}
template <class F, class T, Form B>
PENUMBRA_STENCIL from_integer(PENUMBRA_VECTOR_ARGUMENTS(V128)) {
  vd = F::template eval<kWidthOf<T>>(va, get<T, B, 'b'>(s, b), small_immediate());
  PENUMBRA_CONTINUE_WITH(V128);
}
template <class F, class T, class V, Form D>
PENUMBRA_STENCIL to_integer(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  u64 value = F::template eval<kWidthOf<T>>(va, small_immediate());
  put<T, D>(s, d, static_cast<T>(value));
  PENUMBRA_CONTINUE_WITH(V);
}
template <class F, class V>
PENUMBRA_STENCIL flags(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  s->flag_source = F::eval(va, vb);
  PENUMBRA_CONTINUE_WITH(V);
}
template <class V>
PENUMBRA_STENCIL from_slot(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  vd = load_from<V>(slot_of<'a'>(s));
  PENUMBRA_CONTINUE_WITH(V);
}
template <class V>
PENUMBRA_STENCIL to_slot(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  store_to<V>(slot_of<'d'>(s), va);
  PENUMBRA_CONTINUE_WITH(V);
}
#ifdef __AVX2__
PENUMBRA_STENCIL clear_upper(PENUMBRA_VECTOR_ARGUMENTS(V256)) {
  vd = _mm256_zextsi128_si256(_mm256_castsi256_si128(va));
  PENUMBRA_CONTINUE_WITH(V256);
}
#endif

// -- the lists
// --------------------------------------------------------------------------------------

template <class V>
using Function = PENUMBRA_STENCIL(PENUMBRA_VECTOR_ARGUMENTS(V));
template <class V>
using List = Listing<Function<V>, 2000>;

/// Where the host has no instruction whose operands may all be any registers, slots it is.
template <class Micro, class V>
constexpr bool has_stencil(Op op) {
  bool only_wide = sizeof(V) == 16 && !std::is_same_v<cpu::NarrowestOf<Micro>, V128>;
#ifdef __AVX2__
  bool has_fixed_register = op == Op::Sha256rnds2;
#else
  bool has_fixed_register = op == Op::Sha256rnds2 || op == Op::Pblendvb || op == Op::Blendvps ||
                            op == Op::Blendvpd || op == Op::Pblendw || op == Op::Blendps ||
                            op == Op::Blendpd || op == Op::Shufpd;
#endif
  return !only_wide && !has_fixed_register && !is_left_out<V>(op);
}
template <class V>
constexpr StencilKey vector_key(Op op) {
  return {.op = code_of(op), .width = kVectorWidth<V>, .d = kRegister, .a = kRegister};
}

template <class F, class V>
constexpr void list_VectorUnary(List<V>& list, Op op) {
  if constexpr (std::is_same_v<cpu::NarrowestOf<F>, V128> || sizeof(V) == 32) {
    if (has_stencil<F, V>(op)) list.add(vector_key<V>(op), unary<F, V>);
  }
}
template <class F, class V>
constexpr void list_VectorBinary(List<V>& list, Op op) {
  if constexpr (std::is_same_v<cpu::NarrowestOf<F>, V128> || sizeof(V) == 32) {
    StencilKey key = vector_key<V>(op);
    key.b = kRegister;
    if (has_stencil<F, V>(op)) list.add(key, binary<F, V>);
  }
}
template <class F, class V>
constexpr void list_VectorTernary(List<V>& list, Op op) {
  StencilKey key = vector_key<V>(op);
  key.b = key.c = kRegister;
  if (has_stencil<F, V>(op)) list.add(key, ternary<F, V>);
}
template <class F, class V>
constexpr void list_VectorUnaryImmediate(List<V>& list, Op op) {
  if constexpr (std::is_same_v<cpu::NarrowestOf<F>, V128> || sizeof(V) == 32) {
    if (has_stencil<F, V>(op)) list.add(vector_key<V>(op), unary_immediate<F, V>);
  }
}
template <class F, class V>
constexpr void list_VectorBinaryImmediate(List<V>& list, Op op) {
  if constexpr (std::is_same_v<cpu::NarrowestOf<F>, V128> || sizeof(V) == 32) {
    StencilKey key = vector_key<V>(op);
    key.b = kRegister;
    if (has_stencil<F, V>(op)) list.add(key, binary_immediate<F, V>);
  }
}
template <class F, class V>
constexpr void list_VectorTernaryImmediate(List<V>&, Op) {}
template <class F, class V>
constexpr void list_VectorFromInteger(List<V>& list, Op op) {
  if constexpr (sizeof(V) == 16) {
    each_width([&]<class T>(T) {
      each<kRegister, kSlot>([&]<Form B>() {
        StencilKey key = vector_key<V>(op);
        key.width = kWidthOf<T>;
        key.b = B;
        list.add(key, from_integer<F, T, B>);
      });
    });
  }
}
template <class F, class V>
constexpr void list_IntegerFromVector(List<V>& list, Op op) {
  if constexpr (requires(V a) { F::template eval<Width::W32>(a, u8{}); }) {
    each_width([&]<class T>(T) {
      each<kRegister, kSlot>([&]<Form D>() {
        StencilKey key = vector_key<V>(op);
        key.width = kWidthOf<T>;
        key.d = D;
        if (sizeof(V) == 32) key.from = Width::W256;
        list.add(key, to_integer<F, T, V, D>);
      });
    });
  }
}
template <class F, class V>
constexpr void list_VectorClear([[maybe_unused]] List<V>& list, [[maybe_unused]] Op op) {
#ifdef __AVX2__
  if constexpr (sizeof(V) == 32) list.add(vector_key<V>(op), clear_upper);
#endif
}
template <class F, class V>
constexpr void list_VectorFlags(List<V>& list, Op op) {
  if constexpr (requires(V a) { F::eval(a, a); }) {
    StencilKey key = vector_key<V>(op);
    key.d = kNone;
    key.b = kRegister;
    list.add(key, flags<F, V>);
  }
}

template <class V>
constexpr auto make() {
  List<V> list;
#define PENUMBRA_VECTOR_OP(name, shape) list_##shape<cpu::name, V>(list, Op::name);
#include "cpu/semantics/vector_ops.def"
#undef PENUMBRA_VECTOR_OP
  StencilKey key = vector_key<V>(Op::VectorMove);
  key.a = kSlot;
  list.add(key, from_slot<V>);
  key = vector_key<V>(Op::VectorMove);
  key.d = kSlot;
  list.add(key, to_slot<V>);
  return list;
}

PENUMBRA_LIST kVectors = listed<make<V128>>();
#ifdef __AVX2__
PENUMBRA_LIST kWideVectors = listed<make<V256>>();
#endif

}  // namespace
}  // namespace penumbra::jit
