// Accesses that only the machine around a vCPU can complete: ports and memory-mapped I/O.
//
// An instruction that touches a device asks here. The first time the access is not known: it is
// kept as the pending one and the instruction stops with Fault::external(), nothing committed.
// Vcpu::run() returns it as an Exit, the machine completes it, and the restarted instruction finds
// the finished accesses, in order, in this buffer, so each device access happens exactly once.
// The buffer is emptied when the instruction retires (or faults).
#pragma once

#include <vector>

#include "common/fault.h"

namespace penumbra {

struct ExternalAccess {
  enum class Space : u8 { Port, Mmio };
  enum class Direction : u8 { Read, Write };

  Space space = Space::Port;
  Direction direction = Direction::Read;
  u8 size = 1;  ///< bytes: 1, 2, 4 (8 for MMIO)
  u64 address = 0;
  u64 data = 0;  ///< what to write, or what was read

  template <class Archive>
  void serialize(Archive& archive) {
    archive(space, direction, size, address, data);
  }
};

class ExternalBuffer {
 public:
  /// The value read, or Fault::external() when the machine has to perform the read first.
  Expected<u64> read(ExternalAccess::Space space, u64 address, u8 size) {
    return access({space, ExternalAccess::Direction::Read, size, address, 0});
  }
  Expected<> write(ExternalAccess::Space space, u64 address, u8 size, u64 data) {
    TRY(access({space, ExternalAccess::Direction::Write, size, address, data}));
    return {};
  }

  bool has_pending() const { return waiting_; }
  const ExternalAccess& pending() const { return pending_; }

  /// The machine has performed the pending access; `data` is what a read returned.
  void complete(u64 data) {
    pending_.data = pending_.direction == ExternalAccess::Direction::Read ? data : pending_.data;
    finished_.push_back(pending_);
    waiting_ = false;
  }

  /// Start of a (re)started instruction: finished accesses are answered from the first one on.
  void rewind() { next_ = 0; }
  bool has_finished() const { return !finished_.empty(); }
  /// The instruction retired or faulted.
  void clear() {
    finished_.clear();
    next_ = 0;
    waiting_ = false;
  }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(finished_, pending_, waiting_);
    next_ = 0;
  }

 private:
  Expected<u64> access(const ExternalAccess& wanted) {
    if (next_ < finished_.size()) return finished_[next_++].data;
    pending_ = wanted;
    waiting_ = true;
    return std::unexpected(Fault::external());
  }

  std::vector<ExternalAccess> finished_;
  ExternalAccess pending_;
  size_t next_ = 0;
  bool waiting_ = false;
};

}  // namespace penumbra
