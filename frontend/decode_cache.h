// Decoded instructions by the bytes that decide their form.
//
// Prefixes, opcode, ModRM and SIB say what an instruction is and how long. What follows them is a
// displacement and an immediate, which are read anew each time. So a small cache answers for most
// code, ten times as fast as the decoder behind it, and exactly as that would: a form that is the
// beginning of some bytes is their form. Rare encodings (VEX, far pointers, two immediates, forms
// of more than eight bytes) always go to the decoder.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "frontend/decoder.h"

namespace penumbra::frontend {

class DecodeCache {
 public:
  /// As frontend::decode().
  std::expected<Instruction, DecodeError> decode(std::span<const u8> bytes, CodeMode mode);

 private:
  static constexpr u32 kMostFormBytes = 8, kIndexBits = 12;

  struct Entry {
    u64 form = 0;  ///< its bytes, from the lowest on, and zeroes
    u8 form_size = 0;
    u8 code_size = 0;
    Instruction instruction;
  };
  /// Sizes of the forms that begin with a byte, bit by size - 1.
  using Sizes = std::array<u8, 256>;

  static u32 index(u64 form, u32 form_size, CodeSize code_size);
  const Entry* find(u64 word, u32 available, CodeSize code_size) const;
  void insert(u64 word, CodeSize code_size, const Instruction& instruction);

  std::vector<Entry> entries_ = std::vector<Entry>(1u << kIndexBits);
  std::array<Sizes, 3> sizes_{};
};

}  // namespace penumbra::frontend
