// Reader of MOO files: single-instruction tests captured from hardware (the format is described in
// the data's README). Untrusted input: a malformed file is an error, never a crash.
#pragma once

#include <array>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "common/types.h"

namespace penumbra::sst {

/// Order of the REGS chunk.
enum class MooReg : u8 { Ax, Bx, Cx, Dx, Cs, Ss, Ds, Es, Sp, Bp, Si, Di, Ip, Flags };
constexpr size_t kMooRegs = 14;

struct MemoryByte {
  u32 address;
  u8 value;
};

struct MooState {
  std::array<std::optional<u16>, kMooRegs> regs;
  std::vector<MemoryByte> memory;
};

struct MooException {
  u8 number;
};

struct MooTest {
  u32 index = 0;
  std::string name;
  std::vector<u8> bytes;
  MooState initial, final;  ///< final holds only what changed
  std::optional<MooException> exception;
};

/// The tests of one .MOO or .MOO.gz file; the error is one line for the user.
std::expected<std::vector<MooTest>, std::string> read_moo(const std::string& path);

}  // namespace penumbra::sst
