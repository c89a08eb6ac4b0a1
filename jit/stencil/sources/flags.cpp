// Stencils that read flags, and branches on them.
//
// Where the kind to read is known, the condition is computed straight from its values. Where it is
// not (the first reader of a block), the usual kinds are tried in turn; others leave by Slow, which
// makes the flags explicit and comes back.
#include <tuple>

#include "jit/stencil/sources/host_arithmetic.h"

namespace penumbra::jit {
namespace {

using cpu::FlagFamily;

/// The type of a kind's values.
template <FlagKind K>
using KindType = std::tuple_element_t<static_cast<u8>(K) % 4, std::tuple<u8, u16, u32, u64>>;

/// As many bytes as a kind is known to have written of a word: who reads more waits for the store.
template <FlagKind K>
[[gnu::always_inline]] inline u64 written_part(const u64& word) {
  if constexpr (keeps_one_bit(cpu::family_of(K))) return load_from<u8>(&word);
  if constexpr (!cpu::has_width(cpu::family_of(K))) return load_from<u32>(&word);
  return load_from<KindType<K>>(&word);
}

/// Where a kind has its first value: a partial one is the modifier.
template <FlagKind K>
[[gnu::always_inline]] inline u64 result_of(const CpuState* s) {
  if constexpr (cpu::is_partial(K)) return written_part<K>(s->flag_patch);
  return load_from<KindType<K>>(&s->flag_result);
}
template <FlagKind K>
[[gnu::always_inline]] inline u64 source_of(const CpuState* s) {
  return written_part<K>(s->flag_source);
}

/// The condition by the values of a kind.
template <FlagKind K, Condition C>
[[gnu::always_inline]] inline bool holds_of(const CpuState* s) {
  return cpu::condition_of<cpu::family_of(K), KindType<K>>(C, result_of<K>(s), source_of<K>(s));
}

template <FlagKind K, Condition C, Form D>
PENUMBRA_STENCIL get_condition(PENUMBRA_STENCIL_ARGUMENTS) {
  put<u64, D>(s, d, holds_of<K, C>(s));
  PENUMBRA_CONTINUE(to_next);
}

template <FlagKind K, Condition C>
PENUMBRA_STENCIL branch(PENUMBRA_STENCIL_ARGUMENTS) {
  if (holds_of<K, C>(s)) PENUMBRA_CONTINUE(to_taken);
  PENUMBRA_CONTINUE(to_next);
}

template <FlagKind K, Form D>
PENUMBRA_STENCIL get_flags(PENUMBRA_STENCIL_ARGUMENTS) {
  u32 flags = cpu::family_flags<cpu::family_of(K), KindType<K>>(result_of<K>(s), source_of<K>(s));
  put<u64, D>(s, d, flags);
  PENUMBRA_CONTINUE(to_next);
}

// -- kinds known only at run time
// ------------------------------------------------------------------

/// Kind and modifier as one number, which is that of the kind where there is no modifier.
[[gnu::always_inline]] inline u32 current_kind(const CpuState* s) {
  return load_from<u16>(reinterpret_cast<const u8*>(&s->flag_kind));
}

template <Condition C>
PENUMBRA_STENCIL branch_any(PENUMBRA_STENCIL_ARGUMENTS) {
  u32 kind = current_kind(s);
#define PENUMBRA_TRY(name)                                           \
  if (kind == static_cast<u32>(FlagKind::name)) {                    \
    if (holds_of<FlagKind::name, C>(s)) PENUMBRA_CONTINUE(to_taken); \
    PENUMBRA_CONTINUE(to_next);                                      \
  }
  PENUMBRA_TRY(Sub32)
  PENUMBRA_TRY(Sub64)
  PENUMBRA_TRY(Logic32)
  PENUMBRA_TRY(Logic64)
  PENUMBRA_TRY(Sub8)
  PENUMBRA_TRY(Explicit)
#undef PENUMBRA_TRY
  PENUMBRA_CONTINUE(to_slow);
}

template <Condition C, Form D>
PENUMBRA_STENCIL get_condition_any(PENUMBRA_STENCIL_ARGUMENTS) {
  u32 kind = current_kind(s);
#define PENUMBRA_TRY(name)                             \
  if (kind == static_cast<u32>(FlagKind::name)) {      \
    put<u64, D>(s, d, holds_of<FlagKind::name, C>(s)); \
    PENUMBRA_CONTINUE(to_next);                        \
  }
  PENUMBRA_TRY(Sub32)
  PENUMBRA_TRY(Sub64)
  PENUMBRA_TRY(Explicit)
#undef PENUMBRA_TRY
  PENUMBRA_CONTINUE(to_slow);
}

template <Form D>
PENUMBRA_STENCIL get_flags_any(PENUMBRA_STENCIL_ARGUMENTS) {
  if (current_kind(s) != static_cast<u32>(FlagKind::Explicit)) PENUMBRA_CONTINUE(to_slow);
  put<u64, D>(s, d, s->flag_source);
  PENUMBRA_CONTINUE(to_next);
}

/// Slow where a definition of the kind's family may not take the modifier's place.
template <FlagKind K>
PENUMBRA_STENCIL keep_flags(PENUMBRA_STENCIL_ARGUMENTS) {
  if (!cpu::replaces(cpu::family_of(K), s->flag_modifier)) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  PENUMBRA_CONTINUE(to_next);
}

template <Form A>
PENUMBRA_STENCIL set_flags(PENUMBRA_STENCIL_ARGUMENTS) {
  s->flag_source = get<u64, A, 'a'>(s, a) & cpu::Flag::kArithmetic;
  PENUMBRA_CONTINUE(to_next);
}

// -- the host's flags from a comparison whose operands are still there
// -----------------------------------------------------------------------------------------

/// What makes the flags of a kind from two operands.
template <FlagKind K>
using Comparing = std::conditional_t<cpu::family_of(K) == FlagFamily::Sub, cpu::Sub, cpu::And>;

template <FlagKind K, Form A, Form B>
PENUMBRA_STENCIL hold_comparison(PENUMBRA_STENCIL_ARGUMENTS) {
  host_compare<Comparing<K>, KindType<K>, A, B>(s, a, b);
  PENUMBRA_CONTINUE(to_next);
}

// -- conditions in the host's flags
// ------------------------------------------------------------------------

template <Condition C>
PENUMBRA_STENCIL get_held(PENUMBRA_STENCIL_ARGUMENTS) {
  host_set<C>(d);
  d = static_cast<u8>(d);
  PENUMBRA_CONTINUE(to_next);
}
/// Into the low byte of d.
template <Condition C>
PENUMBRA_STENCIL set_held(PENUMBRA_STENCIL_ARGUMENTS) {
  host_set<C>(d);
  PENUMBRA_CONTINUE(to_next);
}
template <Condition C>
PENUMBRA_STENCIL branch_held(PENUMBRA_STENCIL_ARGUMENTS) {
  if (host_holds<C>()) PENUMBRA_CONTINUE(to_taken);
  PENUMBRA_CONTINUE(to_next);
}
template <Condition C, class T, Form From>
PENUMBRA_STENCIL select_held(PENUMBRA_STENCIL_ARGUMENTS) {
  host_select<C, T, From>(s, d, c);
  PENUMBRA_CONTINUE(to_next);
}

/// The bit of a kind's values that is CF, where it is one.
template <FlagKind K>
constexpr unsigned carry_bit() {
  constexpr FlagFamily kFamily = cpu::family_of(K);
  if constexpr (kFamily == FlagFamily::Image) return 8;
  if constexpr (kFamily == FlagFamily::RotateRight) return 8 * sizeof(KindType<K>) - 1;
  return 0;
}

/// The host's CF becomes that of a kind.
template <FlagKind K>
PENUMBRA_STENCIL hold_carry(PENUMBRA_STENCIL_ARGUMENTS) {
  using T = KindType<K>;
  constexpr FlagFamily kFamily = cpu::family_of(K);
  if constexpr (kFamily == FlagFamily::Add) {  // result < source
    u64 result = load_from<T>(&s->flag_result);
    T& source = reinterpret_cast<T&>(s->flag_source);
#define PENUMBRA_BELOW(name, m) asm volatile(name " %1, %" m "0" : : "r"(result), "m"(source))
    PENUMBRA_SIZED(PENUMBRA_BELOW, "cmp")
  } else if constexpr (kFamily == FlagFamily::Sub) {  // result + source is beyond the width
    u64 result = load_from<T>(&s->flag_result);
    T& source = reinterpret_cast<T&>(s->flag_source);
#define PENUMBRA_BEYOND(name, m) asm volatile(name " %1, %" m "0" : "+r"(result) : "m"(source))
    PENUMBRA_SIZED(PENUMBRA_BEYOND, "add")
  } else if constexpr (kFamily == FlagFamily::Logic) {
    asm volatile("clc");
  } else {
    u64 value = cpu::is_partial(K) ? result_of<K>(s) : source_of<K>(s);
    asm volatile("btq %1, %0" : : "r"(value), "i"(carry_bit<K>()));
  }
  PENUMBRA_CONTINUE(to_next);
}

// -- fused compare and branch, and branches on a value
// ---------------------------------------------

/// Of CF and OF behind a logical instruction, which clears them.
constexpr bool never_holds(Condition c) { return c == Condition::O || c == Condition::B; }
constexpr bool always_holds(Condition c) { return c == Condition::No || c == Condition::Nb; }

/// F is Sub or And.
template <class F, class T, Condition C, Effect E, Form A, Form B>
PENUMBRA_STENCIL compare_branch(PENUMBRA_STENCIL_ARGUMENTS) {
  if constexpr (E == Effect::Flags) {
    host_step<F, T, E, kNone, B>(s, d, first_of<T, A, 'a'>(s, a), b);
  } else {
    host_compare<F, T, A, B>(s, a, b);
  }
  constexpr bool kLogic = std::is_same_v<F, cpu::And>;
  if constexpr (kLogic && always_holds(C)) PENUMBRA_CONTINUE(to_taken);
  if constexpr (!kLogic || !never_holds(C)) {
    if (host_holds<C>()) PENUMBRA_CONTINUE(to_taken);
  }
  PENUMBRA_CONTINUE(to_next);
}
/// TEST of a register with itself, and branch.
template <class T, Condition C>
PENUMBRA_STENCIL test_branch(PENUMBRA_STENCIL_ARGUMENTS) {
  host_compare<cpu::And, T, kRegister, kRegister>(s, a, a);
  keep_result<cpu::And, T>(s, a);
  if constexpr (always_holds(C)) PENUMBRA_CONTINUE(to_taken);
  if constexpr (!never_holds(C)) {
    if (host_holds<C>()) PENUMBRA_CONTINUE(to_taken);
  }
  PENUMBRA_CONTINUE(to_next);
}

template <Form A>
PENUMBRA_STENCIL branch_nonzero(PENUMBRA_STENCIL_ARGUMENTS) {
  if (get<u8, A, 'a'>(s, a) & 1) PENUMBRA_CONTINUE(to_taken);
  PENUMBRA_CONTINUE(to_next);
}

// -- the list
// --------------------------------------------------------------------------------------

using List = Listing<StencilFunction, 3000>;

/// Every kind that the flag pass makes an op read.
template <class F>
constexpr void each_kind(F f) {
  [&]<unsigned... K>(std::integer_sequence<unsigned, K...>) {
    auto call = [&]<FlagKind kKind>() {
      constexpr FlagFamily kFamily = cpu::family_of(kKind);
      constexpr bool kExists = kFamily != FlagFamily::None &&
                               (cpu::has_width(kFamily) || static_cast<u8>(kKind) % 4 == 0);
      if constexpr (kExists) f.template operator()<kKind>();
    };
    (call.template operator()<static_cast<FlagKind>(K)>(), ...);
  }(std::make_integer_sequence<unsigned, static_cast<unsigned>(FlagKind::Last) + 1>());
}

/// Those that need no flag but what a definition of the family sets.
template <FlagFamily F>
constexpr void each_condition_of(auto f) {
  each_condition([&]<Condition C>() {
    if constexpr ((cpu::flags_of(C) & ~cpu::flags_of(F)) == 0) f.template operator()<C>();
  });
}

constexpr auto make_known() {
  List list;
  each_kind([&]<FlagKind K>() {
    if constexpr ((cpu::flags_of(cpu::family_of(K)) & cpu::Flag::kCf) != 0) {
      list.add({.op = code_of(Special::HoldCarry), .kind = K}, hold_carry<K>);
    }
    if constexpr (cpu::is_partial(K)) {
      list.add({.op = code_of(Op::KeepFlags), .kind = K}, keep_flags<K>);
    } else {
      each<kRegister, kSlot>([&]<Form D>() {
        list.add({.op = code_of(Op::GetFlags), .d = D, .kind = K}, get_flags<K, D>);
      });
    }
    each_condition_of<cpu::family_of(K)>([&]<Condition C>() {
      list.add({.op = code_of(Op::BranchFlags), .condition = C, .kind = K}, branch<K, C>);
      each<kRegister, kSlot>([&]<Form D>() {
        list.add({.op = code_of(Op::GetCondition), .d = D, .condition = C, .kind = K},
                 get_condition<K, C, D>);
      });
    });
  });
  return list;
}

constexpr auto make_any() {
  List list;
  each_condition([&]<Condition C>() {
    list.add({.op = code_of(Op::BranchFlags), .condition = C}, branch_any<C>);
    each<kRegister, kSlot>([&]<Form D>() {
      list.add({.op = code_of(Op::GetCondition), .d = D, .condition = C}, get_condition_any<C, D>);
    });
  });
  each<kRegister, kSlot>([&]<Form D>() {
    list.add({.op = code_of(Op::GetFlags), .d = D}, get_flags_any<D>);
    list.add({.op = code_of(Op::BranchNonzero), .a = D}, branch_nonzero<D>);
  });
  each<kRegister, kSlot, kImmediate>(
      [&]<Form A>() { list.add({.op = code_of(Op::SetFlags), .a = A}, set_flags<A>); });
  return list;
}

template <class F>
constexpr auto make_fused() {
  List list;
  constexpr bool kSub = std::is_same_v<F, cpu::Sub>;
  constexpr Op kOp = kSub ? Op::BranchSub : Op::BranchAnd;
  each_width([&]<class T>(T) {
    each_condition([&]<Condition C>() {
      if constexpr (!kSub) {
        StencilKey key{.op = code_of(kOp), .width = kWidthOf<T>, .effect = Effect::Flags};
        key.a = kRegister, key.condition = C;
        list.add(key, test_branch<T, C>);
      }
      each<kRegister, kSlot>([&]<Form A>() {
        each<kRegister, kSlot, kImmediate>([&]<Form B>() {
          each<Effect::Value, Effect::Flags>([&]<Effect E>() {
            list.add({.op = code_of(kOp),
                      .width = kWidthOf<T>,
                      .effect = E,
                      .a = A,
                      .b = B,
                      .condition = C},
                     compare_branch<F, T, C, E, A, B>);
          });
        });
      });
    });
  });
  return list;
}

/// The operands' forms.
template <class F>
constexpr void each_comparison(F f) {
  f.template operator()<kRegister, kRegister>();
  f.template operator()<kRegister, kSlot>();
  f.template operator()<kRegister, kImmediate>();
  f.template operator()<kSlot, kRegister>();
  f.template operator()<kSlot, kSlot>();
  f.template operator()<kSlot, kImmediate>();
}

template <FlagFamily F>
constexpr auto make_comparisons() {
  List list;
  each_width([&]<class T>(T) {
    constexpr FlagKind K = cpu::flag_kind(F, kWidthOf<T>);
    each_comparison([&]<Form A, Form B>() {
      StencilKey key{.op = code_of(Special::HoldComparison), .width = kWidthOf<T>, .a = A, .b = B};
      key.kind = K;
      list.add(key, hold_comparison<K, A, B>);
    });
  });
  return list;
}

constexpr auto make_held() {
  List list;
  each_condition([&]<Condition C>() {
    StencilKey key{.op = code_of(Op::BranchFlags), .condition = C, .kind = FlagKind::None};
    list.add(key, branch_held<C>);
    key.op = code_of(Op::GetCondition);
    key.d = kRegister;
    list.add(key, get_held<C>);
    key.width = Width::W8;
    list.add(key, set_held<C>);
    key.op = code_of(Op::Select);
    key.tied = true;
    each<kRegister, kSlot>([&]<Form From>() {
      key.c = From;
      key.width = Width::W32;
      list.add(key, select_held<C, u32, From>);
      key.width = Width::W64;
      list.add(key, select_held<C, u64, From>);
    });
  });
  return list;
}

PENUMBRA_LIST kHeld = listed<make_held>();
PENUMBRA_LIST kSubComparisons = listed<make_comparisons<FlagFamily::Sub>>();
PENUMBRA_LIST kAndComparisons = listed<make_comparisons<FlagFamily::Logic>>();
PENUMBRA_LIST kKnown = listed<make_known>();
PENUMBRA_LIST kAny = listed<make_any>();
PENUMBRA_LIST kFusedSub = listed<make_fused<cpu::Sub>>();
PENUMBRA_LIST kFusedAnd = listed<make_fused<cpu::And>>();

}  // namespace
}  // namespace penumbra::jit
