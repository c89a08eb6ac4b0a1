// Reads stencils out of an ELF object: each function that the section .stencil_index names, with
// its bytes and relocations.
//
// Objects come from the project's own compiler run: what is odd in one is an error, not guessed at.
// Functions must be alone in their sections (-ffunction-sections).
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/types.h"

namespace penumbra::jit::extract {

template <class T = void>
using Result = std::expected<T, std::string>;

/// A constant pool (.rodata.cstN): entries of one size, which the linker may merge.
struct ConstantSection {
  std::span<const u8> bytes;
  u32 entry_size = 0;
};

struct Relocation {
  u32 offset = 0;
  u32 type = 0;  ///< R_X86_64_*
  std::string symbol;
  i64 addend = 0;               ///< with the symbol's place in its section, if it has one
  bool is_undefined = false;    ///< no section of the object: a hole or a continuation
  ConstantSection constants{};  ///< where the symbol lies in one
};

struct StencilSource {
  u64 key = 0;
  std::string name;  ///< demangled
  std::vector<u8> code;
  std::vector<Relocation> relocations;  ///< by offset
};

/// The stencils of an object and the bytes that they refer to.
class ObjectFile {
 public:
  static Result<ObjectFile> read(const std::string& path);
  const std::vector<StencilSource>& stencils() const { return stencils_; }

 private:
  std::unique_ptr<std::vector<char>> bytes_;
  std::vector<StencilSource> stencils_;
};

}  // namespace penumbra::jit::extract
