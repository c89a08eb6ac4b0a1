// Finds the first difference between two machines that agree now and differ some slices later.
//
// Runs in a copy of the process, and copies it again for each try, so that every try starts from
// the same state of both engines, caches included. First the slice, then the instruction: the
// shortest run from the slice's start that leaves a difference. Where an engine runs a block as one
// piece, that is the block's last instruction.
#pragma once

#include "machine/lockstep.h"

namespace penumbra::machine {

class LockstepSearch {
 public:
  LockstepSearch(MachinePair& pair, SliceSchedule schedule)
      : pair_(pair), schedule_(std::move(schedule)) {}

  /// They differ once slice number `last` has run. Nothing when this time they do not.
  std::optional<Divergence> find(u64 last);

 private:
  using Found = std::optional<Divergence>;

  /// What `attempt` finds in a copy of the process.
  Found in_copy(const std::function<Found()>& attempt) const;
  Found search_slices(u64 last);
  Found search_instructions();
  /// Runs slices up to number `last`, this one included; whether the machines agree then.
  bool run_slices(u64 last);
  void take_input();

  MachinePair& pair_;
  SliceSchedule schedule_;
};

}  // namespace penumbra::machine
