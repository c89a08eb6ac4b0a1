// Small guests for tests of the machine: long-mode code that is entered at 1 MiB.
#pragma once

#include <string>
#include <vector>

#include "machine/load_plan.h"
#include "machine/vm.h"

namespace penumbra::machine::guests {

using Code = std::vector<u8>;

inline Code operator+(Code a, const Code& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// mov dx, port; mov al, value; out dx, al
inline Code out(u16 port, u8 value) {
  return {0x66, 0xba, static_cast<u8>(port), static_cast<u8>(port >> 8), 0xb0, value, 0xee};
}

inline Code print(const std::string& text) {
  Code code;
  for (char c : text) code = code + out(0x3f8, static_cast<u8>(c));
  return code;
}

/// mov dx, 604h; mov ax, S5 | SLP_EN; out dx, ax
inline Code power_off() { return {0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x34, 0x66, 0xef}; }
inline Code spin() { return {0xeb, 0xfe}; }

/// Echoes COM1 by polling until 'q'.
inline Code echo() {
  return Code{0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7, 0x66,
              0xba, 0xf8, 0x03, 0xec, 0xee, 0x3c, 0x71, 0x75, 0xed} +
         power_off();
}

inline LoadPlan plan(const Code& code) {
  LoadPlan plan;
  plan.entry = {CpuEntry::Mode::Long, 0x100000, 0, 0};
  add_cpu_tables(plan, plan.entry.mode);
  plan.add(0x100000, code);
  return plan;
}

/// What a guest printed.
class Recorder final : public devices::CharBackend {
 public:
  void write(u8 byte) override { text.push_back(static_cast<char>(byte)); }
  std::string text;
};

inline VmConfig config(devices::CharBackend& serial,
                       VirtualClock::Mode clock = VirtualClock::Mode::Deterministic) {
  VmConfig config;
  config.memory = 16ull << 20;
  config.clock = clock;
  config.board.serial[0] = &serial;
  return config;
}

inline std::unique_ptr<Vm> vm(const VmConfig& config, const Code& code) {
  auto vm = Vm::create(config);
  if (!vm) return nullptr;
  (*vm)->power_on(plan(code));
  return std::move(*vm);
}

}  // namespace penumbra::machine::guests
