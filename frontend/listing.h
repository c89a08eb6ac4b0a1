// Listings of guest and host code for dumps: address, bytes and assembly text, one line each.
//
// Presentation only, by Capstone; nothing decides anything from it. Bytes that Capstone cannot
// disassemble are listed as `.byte`, one a line, so every byte appears exactly once.
#pragma once

#include <span>
#include <string>

#include "common/code_mode.h"

namespace penumbra::frontend {

/// Guest code that starts at `rip`.
std::string list_guest(std::span<const u8> bytes, u64 rip, CodeSize size);

/// Generated host code, which lies at `bytes.data()`.
std::string list_host(std::span<const u8> bytes);

}  // namespace penumbra::frontend
