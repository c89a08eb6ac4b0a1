// Stencils of loads, stores and address checks: the inline probe of the shadow table.
//
// A seventh argument, in rdx, holds the linear address, so that Slow finds it there. A load that
// misses has written nothing.
#include "jit/stencil/sources/memory.h"
#include "jit/stencil/sources/probe.h"

namespace penumbra::jit {
namespace {

#define PENUMBRA_LINEAR_ARGUMENTS PENUMBRA_STENCIL_ARGUMENTS, [[maybe_unused]] u64 linear
#define PENUMBRA_LINEAR_CONTINUE(where) \
  [[clang::musttail]] return where(s, left, d, a, b, c, linear)
extern "C" {
PENUMBRA_STENCIL to_next_linear(PENUMBRA_LINEAR_ARGUMENTS) asm("to_next");
PENUMBRA_STENCIL to_slow_linear(PENUMBRA_LINEAR_ARGUMENTS) asm("to_slow");
}
using Function = PENUMBRA_STENCIL(PENUMBRA_LINEAR_ARGUMENTS);

#define PENUMBRA_VECTOR_LINEAR_ARGUMENTS(V) \
  PENUMBRA_VECTOR_ARGUMENTS(V), [[maybe_unused]] u64 linear
#define PENUMBRA_VECTOR_LINEAR_CONTINUE(where) \
  [[clang::musttail]] return where(s, left, d, a, b, c, vd, va, vb, vc, linear)
template <class V>
using VectorFunction = PENUMBRA_STENCIL(PENUMBRA_VECTOR_LINEAR_ARGUMENTS(V));
extern "C" {
VectorFunction<__m128i> to_next_vector_linear asm("to_next_vector");
VectorFunction<__m128i> to_slow_vector_linear asm("to_slow_vector");
#ifdef __AVX2__
VectorFunction<__m256i> to_next_vector256_linear asm("to_next_vector256");
VectorFunction<__m256i> to_slow_vector256_linear asm("to_slow_vector256");
#endif
}
struct Ways128 {
  static constexpr auto* kNext = to_next_vector_linear;
  static constexpr auto* kSlow = to_slow_vector_linear;
};
#ifdef __AVX2__
struct Ways256 {
  static constexpr auto* kNext = to_next_vector256_linear;
  static constexpr auto* kSlow = to_slow_vector256_linear;
};
template <class V>
using WaysOf = std::conditional_t<sizeof(V) == 32, Ways256, Ways128>;
#else
template <class V>
using WaysOf = Ways128;
#endif

/// Whether an access of `size` bytes misses the entry whose tag for it is `tag`.
template <u32 kSize>
[[gnu::always_inline]] inline bool misses(u64 linear, u64 tag) {
  u64 last = linear;
  if constexpr (kSize > 1) asm("leaq %c2(%1), %0" : "=r"(last) : "r"(linear), "i"(kSize - 1));
  return page_of(last) != tag;
}
/// Whether the guest may not write there; where only stores have consequences, it may.
template <u32 kSize>
[[gnu::always_inline]] inline bool misses_for_write(u64 linear, u64 tag) {
  u64 last = linear + (kSize - 1);
  asm("" : "+r"(last));
  return (page_of(last) ^ tag) > mmu::ShadowEntry::kTracked;
}

template <class T, bool kForWrite, bool kVector, Form D, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL load(PENUMBRA_LINEAR_ARGUMENTS) {
  linear = address<Base, Index, kScale>(s, a, b);
  const mmu::ShadowEntry& entry = entry_of(s, linear);
  if (kForWrite ? misses_for_write<sizeof(T)>(linear, entry.write_tag)
                : misses<sizeof(T)>(linear, entry.read_tag)) [[unlikely]]
    PENUMBRA_LINEAR_CONTINUE(to_slow_linear);
  put_loaded<T, D, kVector>(s, d, reinterpret_cast<const u8*>(linear + entry.addend));
  PENUMBRA_LINEAR_CONTINUE(to_next_linear);
}

template <class T, Form C, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL store(PENUMBRA_LINEAR_ARGUMENTS) {
  linear = address<Base, Index, kScale>(s, a, b);
  const mmu::ShadowEntry& entry = entry_of(s, linear);
  if (misses<sizeof(T)>(linear, entry.write_tag)) [[unlikely]]
    PENUMBRA_LINEAR_CONTINUE(to_slow_linear);
  put_stored<T, C>(s, c, reinterpret_cast<u8*>(linear + entry.addend));
  PENUMBRA_LINEAR_CONTINUE(to_next_linear);
}

template <class T, Form C>
PENUMBRA_STENCIL store_at(PENUMBRA_STENCIL_ARGUMENTS) {
  put_stored<T, C>(s, c, reinterpret_cast<u8*>(a));
  PENUMBRA_CONTINUE(to_next);
}

/// The immediate is the host address of the bytes.
template <class From, Form D>
PENUMBRA_STENCIL code_value(PENUMBRA_STENCIL_ARGUMENTS) {
  const u8* at = reinterpret_cast<const u8*>(opaque<Width::W64>(hole_immediate));
  auto value = static_cast<std::make_signed_t<From>>(load_from<From>(at));
  put<u64, D>(s, d, static_cast<u64>(i64{value}));
  PENUMBRA_CONTINUE(to_next);
}

/// The same with the vector in a register.
template <class T, class V, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL load_vector(PENUMBRA_VECTOR_LINEAR_ARGUMENTS(V)) {
  linear = address<Base, Index, kScale>(s, a, b);
  const mmu::ShadowEntry& entry = entry_of(s, linear);
  if (misses<sizeof(T)>(linear, entry.read_tag)) [[unlikely]]
    PENUMBRA_VECTOR_LINEAR_CONTINUE(WaysOf<V>::kSlow);
  vd = loaded_vector<T, V>(reinterpret_cast<const u8*>(linear + entry.addend));
  PENUMBRA_VECTOR_LINEAR_CONTINUE(WaysOf<V>::kNext);
}
template <class T, class V, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL store_vector(PENUMBRA_VECTOR_LINEAR_ARGUMENTS(V)) {
  linear = address<Base, Index, kScale>(s, a, b);
  const mmu::ShadowEntry& entry = entry_of(s, linear);
  if (misses<sizeof(T)>(linear, entry.write_tag)) [[unlikely]]
    PENUMBRA_VECTOR_LINEAR_CONTINUE(WaysOf<V>::kSlow);
  put_stored_vector<T, V>(vc, reinterpret_cast<u8*>(linear + entry.addend));
  PENUMBRA_VECTOR_LINEAR_CONTINUE(WaysOf<V>::kNext);
}
template <class T, class V>
PENUMBRA_STENCIL store_vector_at(PENUMBRA_VECTOR_LINEAR_ARGUMENTS(V)) {
  put_stored_vector<T, V>(vc, reinterpret_cast<u8*>(a));
  PENUMBRA_VECTOR_LINEAR_CONTINUE(WaysOf<V>::kNext);
}

// An eighth argument, in rcx, is the host's address of the operand.
#define PENUMBRA_POINTER_ARGUMENTS PENUMBRA_LINEAR_ARGUMENTS, [[maybe_unused]] u64 pointer
#define PENUMBRA_POINTER_CONTINUE(where) \
  [[clang::musttail]] return where(s, left, d, a, b, c, linear, pointer)
extern "C" {
PENUMBRA_STENCIL to_next_pointer(PENUMBRA_POINTER_ARGUMENTS) asm("to_next");
PENUMBRA_STENCIL to_slow_pointer(PENUMBRA_POINTER_ARGUMENTS) asm("to_slow");
}
using PointerFunction = PENUMBRA_STENCIL(PENUMBRA_POINTER_ARGUMENTS);

template <u32 kSize, bool kWrites, Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL probe(PENUMBRA_POINTER_ARGUMENTS) {
  linear = address<Base, Index, kScale>(s, a, b);
  const mmu::ShadowEntry& entry = entry_of(s, linear);
  if (misses<kSize>(linear, kWrites ? entry.write_tag : entry.read_tag)) [[unlikely]] {
    asm("" : "=c"(pointer));  // whatever it is, so that rcx is free before
    PENUMBRA_POINTER_CONTINUE(to_slow_pointer);
  }
  pointer = linear + entry.addend;
  PENUMBRA_POINTER_CONTINUE(to_next_pointer);
}

template <Form Base, Form Index, unsigned kScale>
PENUMBRA_STENCIL check_aligned(PENUMBRA_LINEAR_ARGUMENTS) {
  linear = address<Base, Index, kScale>(s, a, b);
  if ((linear & immediate<u64>()) != 0) [[unlikely]]
    PENUMBRA_LINEAR_CONTINUE(to_slow_linear);
  PENUMBRA_LINEAR_CONTINUE(to_next_linear);
}

// -- the list
// --------------------------------------------------------------------------------------

using List = Listing<Function, 2000>;

template <bool kForWrite>
constexpr auto make_loads() {
  List list;
  constexpr Op kOp = kForWrite ? Op::LoadForWrite : Op::Load;
  each_width([&]<class T>(T) {
    each_address([&]<Form A, Form B, unsigned kScale>() {
      each<kRegister, kSlot>([&]<Form D>() {
        list.add(
            {.op = code_of(kOp), .width = kWidthOf<T>, .d = D, .a = A, .b = B, .scale = kScale},
            load<T, kForWrite, false, D, A, B, kScale>);
      });
    });
  });
  return list;
}

constexpr auto make_stores() {
  List list;
  each_width([&]<class T>(T) {
    each_address([&]<Form A, Form B, unsigned kScale>() {
      each<kRegister, kSlot, kImmediate>([&]<Form C>() {
        list.add({.op = code_of(Op::Store),
                  .width = kWidthOf<T>,
                  .a = A,
                  .b = B,
                  .c = C,
                  .scale = kScale},
                 store<T, C, A, B, kScale>);
      });
    });
  });
  return list;
}

/// Of vectors with 4, 8, 16 or 32 bytes in memory; V is what they are in a register.
template <class V, class... Sizes>
constexpr auto make_vectors() {
  Listing<VectorFunction<V>, 500> list;
  auto add = [&]<class T>(T) {
    each_address([&]<Form A, Form B, unsigned kScale>() {
      StencilKey key{.width = kVectorWidth<T>, .a = A, .b = B, .scale = kScale};
      key.op = code_of(Op::LoadVector);
      key.d = kRegister;
      list.add(key, load_vector<T, V, A, B, kScale>);
      key.op = code_of(Op::StoreVector);
      key.d = kNone;
      key.c = kRegister;
      list.add(key, store_vector<T, V, A, B, kScale>);
    });
    list.add({.op = code_of(Special::StoreVectorAt),
              .width = kVectorWidth<T>,
              .a = kRegister,
              .c = kRegister},
             store_vector_at<T, V>);
  };
  (add(Sizes{}), ...);
  return list;
}

/// The same in slots, and checks of addresses.
constexpr auto make_slots() {
  List list;
  auto add = [&]<class T>(T) {
    each_address([&]<Form A, Form B, unsigned kScale>() {
      StencilKey key{.width = kVectorWidth<T>, .a = A, .b = B, .scale = kScale};
      key.op = code_of(Op::LoadVector);
      key.d = kSlot;
      list.add(key, load<T, false, true, kSlot, A, B, kScale>);
      key.op = code_of(Op::StoreVector);
      key.d = kNone;
      key.c = kSlot;
      list.add(key, store<T, kSlot, A, B, kScale>);
    });
  };
  add(u32{});
  add(u64{});
  add(Vector16{});
  add(Vector32{});
  each_address([&]<Form A, Form B, unsigned kScale>() {
    list.add({.op = code_of(Op::CheckAligned), .a = A, .b = B, .scale = kScale},
             check_aligned<A, B, kScale>);
  });
  return list;
}

constexpr auto make_stores_at() {
  Listing<StencilFunction, 20> list;
  auto add = [&]<class T, Form C>(Width width) {
    list.add({.op = code_of(Special::StoreAt), .width = width, .a = kRegister, .c = C},
             store_at<T, C>);
  };
  each_width([&]<class T>(T) {
    each<kRegister, kSlot, kImmediate>(
        [&]<Form C>() { add.template operator()<T, C>(kWidthOf<T>); });
  });
  add.template operator()<Vector16, kSlot>(Width::W128);
  add.template operator()<Vector32, kSlot>(Width::W256);
  return list;
}

constexpr auto make_code_values() {
  Listing<StencilFunction, 10> list;
  each_width([&]<class T>(T) {
    each<kRegister, kSlot>([&]<Form D>() {
      list.add({.op = code_of(Op::CodeValue), .from = kWidthOf<T>, .d = D, .wide = true},
               code_value<T, D>);
    });
  });
  return list;
}

constexpr auto make_probes() {
  Listing<PointerFunction, 250> list;
  each_address([&]<Form A, Form B, unsigned kScale>() {
    StencilKey key{.a = A, .b = B, .scale = kScale};
    auto add = [&]<u32 kSize>(Width width) {
      key.width = width;
      key.op = code_of(Special::ProbeRead);
      list.add(key, probe<kSize, false, A, B, kScale>);
      key.op = code_of(Special::ProbeWrite);
      list.add(key, probe<kSize, true, A, B, kScale>);
    };
    add.template operator()<2>(Width::W16);
    add.template operator()<4>(Width::W32);
    add.template operator()<8>(Width::W64);
    add.template operator()<10>(Width::W128);
  });
  return list;
}

PENUMBRA_LIST kCodeValues = listed<make_code_values>();
PENUMBRA_LIST kStoresAt = listed<make_stores_at>();
PENUMBRA_LIST kProbes = listed<make_probes>();
PENUMBRA_LIST kLoads = listed<make_loads<false>>();
PENUMBRA_LIST kLoadsForWrite = listed<make_loads<true>>();
PENUMBRA_LIST kStores = listed<make_stores>();
PENUMBRA_LIST kSlots = listed<make_slots>();
PENUMBRA_LIST kVectors = listed<make_vectors<__m128i, u32, u64, __m128i>>();
#ifdef __AVX2__
PENUMBRA_LIST kWideVectors = listed<make_vectors<__m256i, __m256i>>();
#endif

}  // namespace
}  // namespace penumbra::jit
