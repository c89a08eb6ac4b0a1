// Stencils of accesses that share one look-up of the shadow table (jit/stencil/anchors.h).
#include "jit/stencil/sources/memory.h"
#include "jit/stencil/sources/probe.h"

namespace penumbra::jit {
namespace {

template <class V>
using VectorFunction = PENUMBRA_STENCIL(PENUMBRA_VECTOR_ARGUMENTS(V));
struct Ways128 {
  static constexpr auto* kNext = to_next_vector;
  static constexpr auto* kSlow = to_slow_vector;
};
#ifdef __AVX2__
struct Ways256 {
  static constexpr auto* kNext = to_next_vector256;
  static constexpr auto* kSlow = to_slow_vector256;
};
template <class V>
using WaysOf = std::conditional_t<sizeof(V) == 32, Ways256, Ways128>;
#else
template <class V>
using WaysOf = Ways128;
#endif

template <bool kWrites, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL anchor(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 first = address<Base, Index, kScale>(s, a, b);
  const mmu::ShadowEntry& entry = entry_of(s, first);
  u64 last = first + reinterpret_cast<u64>(hole_immediate);
  asm("" : "+r"(last));
  u64 addend = entry.addend;
  asm("" : "+r"(addend));
  if (page_of(last) != (kWrites ? entry.write_tag : entry.read_tag))
    asm volatile("xorl %k0, %k0" : "=r"(addend) : : "cc");
  store_to<u64>(slot_of<'d'>(s), addend);
  PENUMBRA_CONTINUE(to_next);
}

/// Where an access is in the host.
template <Form Base, Form Index, unsigned kScale>
[[gnu::always_inline]] inline u8* anchored(CpuState* s, u64 addend, u64 a, u64 b) {
  u64 sum = get<u64, Base, 'a'>(s, a);
  if constexpr (Index != Form::None) {
    sum += get<u64, Index, 'b'>(s, b) << kScale;
    asm("" : "+r"(sum));
  }
  return reinterpret_cast<u8*>(addend + sum + reinterpret_cast<u64>(hole_displacement));
}

template <class T, Form D, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL load_anchored(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 addend = load_from<u64>(slot_of<'c'>(s));
  if (addend == 0) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  put_loaded<T, D, false>(s, d, anchored<Base, Index, kScale>(s, addend, a, b));
  PENUMBRA_CONTINUE(to_next);
}
template <class T, Form C, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL store_anchored(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 addend = load_from<u64>(slot_of<'d'>(s));
  if (addend == 0) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  put_stored<T, C>(s, c, anchored<Base, Index, kScale>(s, addend, a, b));
  PENUMBRA_CONTINUE(to_next);
}
template <class T, class V, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL load_vector_anchored(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  u64 addend = load_from<u64>(slot_of<'c'>(s));
  if (addend == 0) [[unlikely]]
    PENUMBRA_VECTOR_CONTINUE(WaysOf<V>::kSlow);
  vd = loaded_vector<T, V>(anchored<Base, Index, kScale>(s, addend, a, b));
  PENUMBRA_VECTOR_CONTINUE(WaysOf<V>::kNext);
}
template <class T, class V, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL store_vector_anchored(PENUMBRA_VECTOR_ARGUMENTS(V)) {
  u64 addend = load_from<u64>(slot_of<'d'>(s));
  if (addend == 0) [[unlikely]]
    PENUMBRA_VECTOR_CONTINUE(WaysOf<V>::kSlow);
  put_stored_vector<T, V>(vc, anchored<Base, Index, kScale>(s, addend, a, b));
  PENUMBRA_VECTOR_CONTINUE(WaysOf<V>::kNext);
}

// -- the list
// --------------------------------------------------------------------------------------

constexpr auto make_anchored() {
  Listing<StencilFunction, 500> list;
  each_address_from<kRegister, kSlot>([&]<Form A, Form B, unsigned kScale>() {
    StencilKey key{.a = A, .b = B, .scale = kScale};
    key.d = kSlot;
    key.op = code_of(Special::AnchorRead);
    list.add(key, anchor<false, A, B, kScale>);
    key.op = code_of(Special::AnchorWrite);
    list.add(key, anchor<true, A, B, kScale>);
    each_width([&]<class T>(T) {
      key.width = kWidthOf<T>;
      key.op = code_of(Special::LoadAnchored);
      key.c = kSlot;
      each<kRegister, kSlot>([&]<Form D>() {
        key.d = D;
        list.add(key, load_anchored<T, D, A, B, kScale>);
      });
      key.op = code_of(Special::StoreAnchored);
      key.d = kSlot;
      each<kRegister, kSlot, kImmediate>([&]<Form C>() {
        key.c = C;
        list.add(key, store_anchored<T, C, A, B, kScale>);
      });
    });
  });
  return list;
}

template <class V, class... Sizes>
constexpr auto make_vectors_anchored() {
  Listing<VectorFunction<V>, 200> list;
  auto add = [&]<class T>(T) {
    each_address_from<kRegister, kSlot>([&]<Form A, Form B, unsigned kScale>() {
      StencilKey key{.width = kVectorWidth<T>, .a = A, .b = B, .scale = kScale};
      key.op = code_of(Special::LoadVectorAnchored);
      key.d = kRegister;
      key.c = kSlot;
      list.add(key, load_vector_anchored<T, V, A, B, kScale>);
      key.op = code_of(Special::StoreVectorAnchored);
      key.d = kSlot;
      key.c = kRegister;
      list.add(key, store_vector_anchored<T, V, A, B, kScale>);
    });
  };
  (add(Sizes{}), ...);
  return list;
}

PENUMBRA_LIST kAnchored = listed<make_anchored>();
PENUMBRA_LIST kVectors = listed<make_vectors_anchored<__m128i, u32, u64, __m128i>>();
#ifdef __AVX2__
PENUMBRA_LIST kWideVectors = listed<make_vectors_anchored<__m256i, __m256i>>();
#endif

}  // namespace
}  // namespace penumbra::jit
