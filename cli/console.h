// Standard input and output as the guest's serial console, with the keys behind Ctrl-A.
//
// Keys are decoded only when standard input is a terminal; from a pipe or file every byte goes to
// the guest, no faster than the guest reads. At the end of the input the guest runs on.
#pragma once

#include <functional>

#include "cli/keys.h"
#include "cli/output.h"
#include "machine/vm.h"

namespace penumbra::cli {

class Console final : public machine::HostEvents {
 public:
  struct Hooks {
    std::function<void()> quit;
    std::function<std::string()> status;  ///< the line behind Ctrl-A c
  };
  enum class Input : u8 { None, Bytes, Keys };

  /// `wake_descriptor` becoming readable ends a wait. `serial_port` gets what is typed.
  Console(machine::Vm& vm, Input input, u8 serial_port, int wake_descriptor, Hooks hooks);

  /// Flushed whenever the host is polled.
  void add_output(Output& output) { outputs_.push_back(&output); }

  void poll() override;
  void wait(std::optional<u64> timeout_ns) override;
  bool can_wake() const override { return input_ != Input::None; }

 private:
  static constexpr size_t kEnoughWaiting = 4096;

  void flush();
  bool wants_input() const;
  void read_input();
  void act(const Key& key);

  machine::Vm& vm_;
  Input input_;
  u8 serial_port_;
  int wake_descriptor_;
  Hooks hooks_;
  KeyDecoder keys_;
  std::vector<Output*> outputs_;
};

}  // namespace penumbra::cli
