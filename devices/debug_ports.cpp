#include "devices/debug_ports.h"

namespace penumbra::devices {

namespace {

constexpr u8 kConsolePresent = 0xe9;

}  // namespace

DebugExit::DebugExit(std::function<void(u32 status)> on_exit) : on_exit_(std::move(on_exit)) {}

u64 DebugExit::read(u64, u32) { return 0; }

void DebugExit::write(u64, u32, u64 value) { on_exit_(static_cast<u32>(value) << 1 | 1); }

u64 DebugConsole::read(u64, u32) { return kConsolePresent; }

void DebugConsole::write(u64, u32, u64 value) { sink_.write(static_cast<u8>(value)); }

}  // namespace penumbra::devices
