// Handlers of loads, stores and address checks. The fast path is the probe of the shadow table.
#include "jit/interp/handler_support.h"
#include "jit/interp/handlers.h"

namespace penumbra::jit {
namespace {

using translator::MicroOp;
using translator::Op;

/// Address forms: how many parts the sum has.
enum class Form : u8 { Base, Indexed };

template <Form F>
inline u64 address_of(const CpuState* s, const Uop* u) {
  u64 sum = get<u64>(s, u->a) + static_cast<i64>(u->displacement);
  if constexpr (F == Form::Indexed) sum += get<u64>(s, u->b) << u->scale;
  return sum;
}

/// One way of reading or writing: the fast path, and what to do when the probe misses.
template <class T>
struct LoadAccess {
  static const u8* probe(const mmu::ShadowTable* t, u64 linear) {
    return t->for_read(linear, sizeof(T));
  }
  static bool slow(CpuState* s, const Uop* u, u64 linear, T& value) {
    return engine(s).read(u, linear, &value, sizeof value);
  }
};
template <class T>
struct LoadForWriteAccess {
  static const u8* probe(const mmu::ShadowTable* t, u64 linear) {
    return t->for_write(linear, sizeof(T));
  }
  static bool slow(CpuState* s, const Uop* u, u64 linear, T& value) {
    return engine(s).read_for_write(u, linear, &value, sizeof value);
  }
};

struct Vector16 {
  u64 low, high;
};
struct Vector32 {
  Vector16 low, high;
};

/// Loads zero-extend into the whole slot: 64 bits, or at least 16 bytes for vectors.
template <class T, bool kVector>
inline void put_loaded(CpuState* s, Slot d, T value) {
  u8* slot = reinterpret_cast<u8*>(s) + d;
  if constexpr (sizeof(T) >= 16) {
    store_to<T>(slot, value);
  } else if constexpr (kVector) {
    store_to<Vector16>(slot, {value, 0});
  } else {
    store_to<u64>(slot, value);
  }
}

template <template <class> class Access, class T, Form F, bool kVector>
PENUMBRA_HANDLER load_slow(PENUMBRA_HANDLER_ARGUMENTS) {
  T value;
  if (!Access<T>::slow(s, u, address_of<F>(s, u), value))
    return stop_before(s, u, left, Stop::Fault);
  put_loaded<T, kVector>(s, u->d, value);
  PENUMBRA_NEXT;
}

template <template <class> class Access, class T, Form F, bool kVector>
PENUMBRA_HANDLER load(PENUMBRA_HANDLER_ARGUMENTS) {
  const u8* host = Access<T>::probe(t, address_of<F>(s, u));
  if (host == nullptr) [[unlikely]] {
    [[clang::musttail]] return load_slow<Access, T, F, kVector>(s, u, t, left);
  }
  put_loaded<T, kVector>(s, u->d, load_from<T>(host));
  PENUMBRA_NEXT;
}

template <class T, bool kImmediate>
inline T stored(const CpuState* s, const Uop* u) {
  if constexpr (kImmediate)
    return static_cast<T>(u->immediate);
  else
    return get<T>(s, u->c);
}

template <class T, Form F, bool kImmediate>
PENUMBRA_HANDLER store_slow(PENUMBRA_HANDLER_ARGUMENTS) {
  T value = stored<T, kImmediate>(s, u);
  if (!engine(s).write(u, address_of<F>(s, u), &value, sizeof value)) {
    return stop_before(s, u, left, Stop::Fault);
  }
  PENUMBRA_NEXT;
}

template <class T, Form F, bool kImmediate>
PENUMBRA_HANDLER store(PENUMBRA_HANDLER_ARGUMENTS) {
  u8* host = t->for_write(address_of<F>(s, u), sizeof(T));
  if (host == nullptr) [[unlikely]] {
    [[clang::musttail]] return store_slow<T, F, kImmediate>(s, u, t, left);
  }
  store_to<T>(host, stored<T, kImmediate>(s, u));
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER linear(PENUMBRA_HANDLER_ARGUMENTS) {
  u64 result = 0;
  if (!engine(s).linear_address(u, get<u64>(s, u->a), result)) {
    return stop_before(s, u, left, Stop::Fault);
  }
  put<u64>(s, u->d, result);
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER check_aligned(PENUMBRA_HANDLER_ARGUMENTS) {
  if (!engine(s).slow().check_aligned(address_of<Form::Indexed>(s, u), u->immediate)) {
    return stop_before(s, u, left, Stop::Fault);
  }
  PENUMBRA_NEXT;
}

template <template <class> class Access, class T, bool kVector>
Handler load_form(const MicroOp& op) {
  return op.b == translator::kZeroSlot ? load<Access, T, Form::Base, kVector>
                                       : load<Access, T, Form::Indexed, kVector>;
}

template <template <class> class Access>
Handler integer_load(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) { handler = load_form<Access, T, false>(op); });
  return handler;
}

Handler vector_load(const MicroOp& op) {
  if (op.width == Width::W256) return load_form<LoadAccess, Vector32, true>(op);
  if (op.width == Width::W128) return load_form<LoadAccess, Vector16, true>(op);
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) { handler = load_form<LoadAccess, T, true>(op); });
  return handler;
}

template <class T, bool kImmediate>
Handler store_form(const MicroOp& op) {
  return op.b == translator::kZeroSlot ? store<T, Form::Base, kImmediate>
                                       : store<T, Form::Indexed, kImmediate>;
}

Handler store_handler(const MicroOp& op) {
  if (op.width == Width::W256) return store_form<Vector32, false>(op);
  if (op.width == Width::W128) return store_form<Vector16, false>(op);
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) {
    handler = op.c == translator::kNoSlot ? store_form<T, true>(op) : store_form<T, false>(op);
  });
  return handler;
}

}  // namespace

Handler memory_handler(const MicroOp& op) {
  switch (op.op) {
    case Op::Load:
      return integer_load<LoadAccess>(op);
    case Op::LoadForWrite:
      return integer_load<LoadForWriteAccess>(op);
    case Op::LoadVector:
      return vector_load(op);
    case Op::Store:
    case Op::StoreVector:
      return store_handler(op);
    case Op::Linear:
      return linear;
    case Op::CheckAligned:
      return check_aligned;
    default:
      return nullptr;
  }
}

}  // namespace penumbra::jit
