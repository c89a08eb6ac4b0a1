// A guest fault as an ordinary value.
//
// Every operation that can fault returns std::expected<T, Fault>. An exception is delivered to the
// guest; an External fault says that the instruction waits for the machine to complete a port or
// MMIO access (see external.h): it is undone and restarted, and never reaches the guest.
#pragma once

#include <expected>

#include "common/types.h"

namespace penumbra {

/// Exception vectors (SDM 3A 6.15).
enum class Vector : u8 {
  De = 0,
  Db = 1,
  Nmi = 2,
  Bp = 3,
  Of = 4,
  Br = 5,
  Ud = 6,
  Nm = 7,
  Df = 8,
  Ts = 10,
  Np = 11,
  Ss = 12,
  Gp = 13,
  Pf = 14,
  Mf = 16,
  Ac = 17,
  Mc = 18,
  Xm = 19,
};

/// Page-fault error code (SDM 3A 4.7).
struct PageFaultCode {
  static constexpr u32 kPresent = 1, kWrite = 2, kUser = 4, kReserved = 8, kFetch = 16, kKey = 32;
};

struct Fault {
  enum class Kind : u8 { Exception, External };

  Kind kind = Kind::Exception;
  Vector vector = Vector::Ud;
  u32 error_code = 0;
  u64 address = 0;  ///< what CR2 becomes; page faults only
  u64 dr6 = 0;      ///< causes for DR6; debug exceptions only

  static constexpr Fault ud() { return {}; }
  static constexpr Fault of(Vector vector, u32 error_code = 0) {
    return {Kind::Exception, vector, error_code, 0, 0};
  }
  static constexpr Fault gp(u32 error_code = 0) { return of(Vector::Gp, error_code); }
  static constexpr Fault ss(u32 error_code = 0) { return of(Vector::Ss, error_code); }
  static constexpr Fault page(u64 address, u32 error_code) {
    return {Kind::Exception, Vector::Pf, error_code, address, 0};
  }
  static constexpr Fault external() { return {Kind::External, Vector::Ud, 0, 0, 0}; }

  friend constexpr bool operator==(const Fault&, const Fault&) = default;
};

/// Whether the exception pushes an error code (SDM 3A table 6-1).
constexpr bool has_error_code(Vector vector) {
  switch (vector) {
    case Vector::Df:
    case Vector::Ts:
    case Vector::Np:
    case Vector::Ss:
    case Vector::Gp:
    case Vector::Pf:
    case Vector::Ac:
      return true;
    default:
      return false;
  }
}

template <class T = void>
using Expected = std::expected<T, Fault>;

}  // namespace penumbra

/// Evaluates an Expected; returns its fault from the enclosing function, else yields its value.
/// The one control-flow macro of the project: precise faults make every second line fallible.
#define PENUMBRA_CONCAT2(a, b) a##b
#define PENUMBRA_CONCAT(a, b) PENUMBRA_CONCAT2(a, b)
#define TRY(expression)                                           \
  do {                                                            \
    if (auto try_result = (expression); !try_result) [[unlikely]] \
      return std::unexpected(try_result.error());                 \
  } while (0)
#define TRY_ASSIGN(declaration, expression)                                \
  auto PENUMBRA_CONCAT(try_value_, __LINE__) = (expression);               \
  if (!PENUMBRA_CONCAT(try_value_, __LINE__)) [[unlikely]]                 \
    return std::unexpected(PENUMBRA_CONCAT(try_value_, __LINE__).error()); \
  declaration = *PENUMBRA_CONCAT(try_value_, __LINE__)
