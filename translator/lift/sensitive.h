// The policy for sensitive instructions: which ones there are and what becomes of each.
//
// The translator rewrites every sensitive instruction into a call of a named, safe operation. An
// engine that shows another way (trap and emulate) differs by the policy alone.
#pragma once

#include "frontend/instruction.h"
#include "translator/ir/named.h"

namespace penumbra::translator {

enum class Sensitivity : u8 {
  Innocuous,
  Unprivileged,  ///< sensitive, yet it does not fault at CPL 3
  Privileged,
};

enum class SensitiveAction : u8 {
  Call,  ///< rewritten into its named operation
  Trap,  ///< #GP(0), as a machine does that runs the guest without its privileges
};

struct SensitivePolicy {
  SensitiveAction unprivileged = SensitiveAction::Call;
  SensitiveAction privileged = SensitiveAction::Call;

  SensitiveAction action(Sensitivity sensitivity) const {
    return sensitivity == Sensitivity::Privileged ? privileged : unprivileged;
  }
};

struct Sensitive {
  Sensitivity sensitivity = Sensitivity::Innocuous;
  /// The named operation of a form that shares its mnemonic; else the row's own is meant.
  const NamedCall* form = nullptr;
};

/// One table (cpu/instructions/sensitive.def) decides.
Sensitive sensitive(const frontend::Instruction& instruction);

class Lifter;
/// Where a frequent sensitive instruction can neither fault nor change what other instructions mean
/// (CLI, PUSHF, SWAPGS, reading a selector), micro-ops in place of the call. False: call it.
bool lift_harmless(Lifter& l, const NamedCall& operation);

}  // namespace penumbra::translator
