// The code-mode word: everything besides the bytes that changes how code is decoded or lifted.
//
// It is part of every block's key. Two blocks of the same bytes and the same word are the same.
#pragma once

#include <initializer_list>

#include "common/types.h"

namespace penumbra {

/// Code segment size; Long is 64-bit mode.
enum class CodeSize : u8 { Bits16, Bits32, Long };

struct CodeMode {
  u32 word = 0;

  enum Bit : u8 {
    kSize = 0,          ///< two bits: CodeSize
    kStack32 = 2,       ///< SS.B (ignored in 64-bit mode)
    kCpl = 3,           ///< two bits
    kFlatSegments = 5,  ///< CS, DS, ES, SS have base 0, limit 4 GiB, expected types: no checks
    kTrap = 6,          ///< EFLAGS.TF
    kProtected = 7,     ///< CR0.PE
    kVirtual8086 = 8,   ///< EFLAGS.VM
    kTaskSwitched = 9,  ///< CR0.TS
    kEmulation = 10,    ///< CR0.EM
    kMonitor = 11,      ///< CR0.MP
    kAlignment = 12,    ///< CR0.AM
    kOsFxsr = 13,       ///< CR4.OSFXSR
    kOsXsave = 14,      ///< CR4.OSXSAVE
    kSseUnmasked = 15,  ///< MXCSR leaves an exception unmasked
    kBreakpoints = 16,  ///< debug registers armed for execution
    kA20Masked = 17,    ///< address line 20 is forced to zero
    kLongActive = 18,   ///< EFER.LMA (with CodeSize not Long: compatibility mode)
    kXcr0 = 19,         ///< three bits: x87, SSE, AVX enabled in XCR0
    kOsXmmExcept = 22,  ///< CR4.OSXMMEXCPT
  };

  constexpr bool has(Bit position) const { return (word >> position) & 1; }
  constexpr void set(Bit position, bool value) {
    word = (word & ~(1u << position)) | (u32{value} << position);
  }
  constexpr CodeSize size() const { return static_cast<CodeSize>(word & 3); }
  constexpr void set_size(CodeSize size) { word = (word & ~3u) | static_cast<u32>(size); }
  constexpr u8 cpl() const { return (word >> kCpl) & 3; }
  constexpr void set_cpl(u8 cpl) { word = (word & ~(3u << kCpl)) | (u32{cpl} << kCpl); }
  constexpr bool is_long() const { return size() == CodeSize::Long; }
  constexpr bool real_or_v86() const { return !has(kProtected) || has(kVirtual8086); }

  friend constexpr bool operator==(CodeMode, CodeMode) = default;
};

/// Ring 0 of an operating system that has switched everything on; real mode for 16-bit code.
constexpr CodeMode kernel_mode(CodeSize size) {
  CodeMode mode;
  mode.set_size(size);
  if (size != CodeSize::Bits16) {
    for (auto bit : {CodeMode::kProtected, CodeMode::kFlatSegments, CodeMode::kStack32}) {
      mode.set(bit, true);
    }
  }
  mode.set(CodeMode::kLongActive, size == CodeSize::Long);
  for (auto bit : {CodeMode::kOsFxsr, CodeMode::kOsXsave, CodeMode::kOsXmmExcept}) {
    mode.set(bit, true);
  }
  mode.word |= 7u << CodeMode::kXcr0;
  return mode;
}

}  // namespace penumbra
