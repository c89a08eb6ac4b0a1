#include "machine/lockstep_search.h"

namespace penumbra::machine {

std::optional<Divergence> LockstepSearch::find(u64 last) {
  Found again =
      in_copy([&] { return run_slices(last) ? Found() : Found(describe(pair_, nullptr)); });
  if (!again) return {};
  Found narrowed = search_slices(last);
  return narrowed && !narrowed->report.empty() ? narrowed : again;
}

LockstepSearch::Found LockstepSearch::in_copy(const std::function<Found()>& attempt) const {
  auto copy = Checkpoint::take([&](const std::string&) { return encode(attempt()); });
  if (!copy) return {};
  auto answer = copy->ask({});
  return answer ? decode(*answer) : Found();
}

void LockstepSearch::take_input() {
  for (const SliceSchedule::Typed& typed : schedule_.typed) {
    if (typed.slice == schedule_.next) pair_.give_input(typed.input);
  }
}

bool LockstepSearch::run_slices(u64 last) {
  while (schedule_.next <= last) {
    take_input();
    pair_.run(schedule_.length(pair_.reference().retired()));
    ++schedule_.next;
  }
  return pair_.same();
}

/// Equal before the next slice, different behind `last`. Where half of them leaves the machines
/// equal, the copy that ran it goes on from there; it answers with a Divergence in any case.
LockstepSearch::Found LockstepSearch::search_slices(u64 last) {
  while (last > schedule_.next) {
    u64 middle = schedule_.next + (last - schedule_.next) / 2;
    Found found = in_copy(
        [&] { return run_slices(middle) ? search_slices(last).value_or(Divergence()) : Found(); });
    if (found) return found;
    last = middle;
  }
  return search_instructions();
}

LockstepSearch::Found LockstepSearch::search_instructions() {
  take_input();
  u64 equal = 0, different = schedule_.length(pair_.reference().retired());
  while (different - equal > 1) {
    u64 middle = equal + (different - equal) / 2;
    bool differs = in_copy([&] {
                     pair_.run(middle);
                     return pair_.same() ? Found() : Found(Divergence());
                   }).has_value();
    (differs ? different : equal) = middle;
  }
  return in_copy([&] {
    RecentInstructions recent(pair_.reference());
    pair_.run(different);
    return pair_.same() ? Found() : Found(describe(pair_, &recent));
  });
}

}  // namespace penumbra::machine
