#include "tests/sst/rules.h"

#include <algorithm>
#include <span>

#include "common/fault.h"

namespace penumbra::sst {
namespace {

/// Prefixes, opcode and ModRM of real-mode code, read without the project's decoder.
struct Parts {
  size_t prefixes = 0;
  bool lock = false;
  u8 segment = 0;  ///< the last override prefix, or 0
  u8 opcode = 0, modrm = 0;

  bool memory() const { return modrm < 0xc0; }
  u8 reg() const { return (modrm >> 3) & 7; }
};

bool is_prefix(u8 byte) {
  static constexpr u8 kPrefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0xf0, 0xf2, 0xf3};
  return std::find(std::begin(kPrefixes), std::end(kPrefixes), byte) != std::end(kPrefixes);
}

Parts parse(std::span<const u8> bytes) {
  Parts parts;
  for (; parts.prefixes < bytes.size() && is_prefix(bytes[parts.prefixes]); ++parts.prefixes) {
    u8 prefix = bytes[parts.prefixes];
    parts.lock |= prefix == 0xf0;
    if (prefix < 0x40) parts.segment = prefix;
  }
  if (parts.prefixes < bytes.size()) parts.opcode = bytes[parts.prefixes];
  if (parts.prefixes + 1 < bytes.size()) parts.modrm = bytes[parts.prefixes + 1];
  return parts;
}

/// SDM 2, LOCK: read-modify-write instructions with a memory destination.
bool lockable(const Parts& parts) {
  u8 op = parts.opcode;
  if (!parts.memory()) return false;
  if (op < 0x38) return (op & 7) <= 1;  // ADD, OR, ADC, SBB, AND, SUB, XOR to memory
  if (op >= 0x80 && op <= 0x83) return parts.reg() != 7;
  if (op == 0x86 || op == 0x87) return true;
  if (op == 0xf6 || op == 0xf7) return parts.reg() == 2 || parts.reg() == 3;
  return (op == 0xfe || op == 0xff) && parts.reg() <= 1;
}

/// Forms whose operand must be memory (SDM 2 at BOUND, LEA, LDS/LES, CALL, JMP). C4 and C5 with a
/// register are VEX, which real mode does not have (SDM 2A 2.3.2).
bool needs_memory(const Parts& parts) {
  switch (parts.opcode) {
    case 0x62:
    case 0x8d:
    case 0xc4:
    case 0xc5:
      return true;
    case 0xff:
      return parts.reg() == 3 || parts.reg() == 5;
    default:
      return false;
  }
}

bool is_string(u8 opcode) {
  return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) ||
         (opcode >= 0xaa && opcode <= 0xaf);
}

/// POP of a register, segment, memory and the flags, POPA, RET, LEAVE, IRET.
bool pops(u8 opcode) {
  static constexpr u8 kPops[] = {0x07, 0x17, 0x1f, 0x61, 0x8f, 0x9d,
                                 0xc2, 0xc3, 0xc9, 0xca, 0xcb, 0xcf};
  return (opcode >= 0x58 && opcode <= 0x5f) ||
         std::find(std::begin(kPops), std::end(kPops), opcode) != std::end(kPops);
}

/// Whether the operand that overran its segment lies in SS: what pops, an SS override, or an
/// address based on BP.
bool in_stack_segment(const Parts& parts) {
  if (pops(parts.opcode)) return true;
  if (parts.segment != 0) return parts.segment == 0x36;
  u8 rm = parts.modrm & 7;
  bool based_on_bp = rm == 2 || rm == 3 || (rm == 6 && parts.modrm >= 0x40);
  return !is_string(parts.opcode) && parts.memory() && based_on_bp;
}

constexpr size_t kMostBytes80286 = 10;

}  // namespace

Rule rule_for(const MooTest& test) {
  Parts parts = parse(test.bytes);
  size_t length = test.bytes.size() - 1;  // the HLT behind it
  if (length > kMostBytes80286)
    return {Verdict::Skip, "longer than 10 bytes, the 80286's limit; 15 now (SDM 2A 2.3.11)"};
  if ((parts.opcode == 0x8c || parts.opcode == 0x8e) && (parts.reg() == 4 || parts.reg() == 5))
    return {Verdict::Skip, "FS and GS, which the 80286 lacks (SDM 1, 3.4.2)"};
  if (parts.lock && !lockable(parts)) return {Verdict::Undefined, "LOCK (SDM 2, LOCK)"};
  if (needs_memory(parts) && !parts.memory())
    return {Verdict::Undefined, "needs a memory operand (SDM 2 at the instruction)"};
  bool overrun = test.exception && test.exception->number == static_cast<u8>(Vector::Gp);
  if (overrun && in_stack_segment(parts))
    return {Verdict::StackFault, "#SS, not #GP, beyond SS (SDM 2, real-mode exceptions)"};
  if (overrun && is_string(parts.opcode))
    return {Verdict::Restarts,
            "faults are restartable (SDM 3A 6.5); the 80286 had advanced SI, DI"};
  return {Verdict::Same, {}};
}

}  // namespace penumbra::sst
