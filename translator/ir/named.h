// What the translator has to know of a named operation (cpu/context.h) to place a call of it.
#pragma once

#include "cpu/context.h"

namespace penumbra::translator {

enum NamedEffect : u16 {
  NoEffects = 0,
  ReadsFlags = 1,       ///< reads arithmetic flags
  WritesFlags = 2,      ///< may change arithmetic flags
  EndsBlock = 4,        ///< the block stops behind it: may branch, change mode, IF, or touch ports
  UsesFpu = 8,          ///< computes in floating point under the guest's MXCSR or control word
  CopiesStraight = 16,  ///< under REP an engine may try StraightMovs first (straight_strings.h)
  FillsStraight = 32,   ///< or StraightStos
  ScansStraight = 128,  ///< or StraightScas
  ComparesStraight = 256,  ///< or StraightCmps
  /// An x87 instruction that a host's own unit may run as it is, where that holds the guest's
  /// state. Its call has the operand's address as loads have, unless segmentation may fault.
  RunsOnUnit = 64,
  /// STMXCSR or VSTMXCSR where it may run; its call has the operand's address as RunsOnUnit's.
  StoresMxcsr = 512,
};

constexpr u16 kStraight = CopiesStraight | FillsStraight | ScansStraight | ComparesStraight;

struct NamedCall {
  const char* name;
  cpu::NamedOperation function;
  u16 effects;
};

}  // namespace penumbra::translator
