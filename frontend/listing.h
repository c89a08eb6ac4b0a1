// Listings of guest and host code for dumps: address, bytes and assembly text, one line each.
//
// Presentation only, by Capstone; nothing decides anything from it. Bytes that Capstone cannot
// disassemble are listed as `.byte`, one a line, so every byte appears exactly once.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/code_mode.h"

namespace penumbra::frontend {

struct ListedInstruction {
  u64 address = 0;
  std::span<const u8> bytes;
  std::string text;
};

/// The instructions one by one; `bytes` start at `address`.
std::vector<ListedInstruction> disassemble(std::span<const u8> bytes, u64 address, CodeSize size);

/// Guest code that starts at `rip`.
std::string list_guest(std::span<const u8> bytes, u64 rip, CodeSize size);

/// Generated host code, which lies at `bytes.data()`.
std::string list_host(std::span<const u8> bytes);

}  // namespace penumbra::frontend
