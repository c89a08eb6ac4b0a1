#include "tests/oracle/test_case.h"

#include <fmt/format.h>

#include <algorithm>

namespace penumbra::oracle {
namespace {

constexpr u64 mix(u64 value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

MachineState MachineState::initial() {
  MachineState state;
  state.fx.set<u16>(FxImage::kControl, 0x37f);
  state.fx.set<u32>(FxImage::kMxcsr, 0x1f80);
  state.rip = kCodeAddress;
  return state;
}

std::vector<u8> code_page(const Test& test) {
  std::vector<u8> page(kPageSize, 0xf4);
  size_t offset = kCodeAddress - kCodePage;
  std::copy(test.code.begin(), test.code.end(), page.begin() + offset);
  page[offset + test.code.size()] = 0x0f;
  page[offset + test.code.size() + 1] = 0x0b;
  return page;
}

void fill_pattern(u64 page, u64 seed, u8* out) {
  u64 value = mix(page + seed * 0x9e3779b97f4a7c15);
  for (u64 offset = 0; offset < kPageSize; offset += 8) {
    value = mix(value + offset + 1);
    store_to<u64>(out + offset, seed & 1 ? value : 0x12340000 + (value & 0x3ff8));
  }
}

std::string to_string(Outcome outcome) {
  static constexpr const char* kNames[] = {"ended", "fault", "timeout", "system call", "broken"};
  return kNames[static_cast<size_t>(outcome)];
}

std::vector<u8> parse_hex(std::string_view text) {
  std::vector<u8> bytes;
  if (text.size() % 2 != 0) return {};
  for (size_t i = 0; i < text.size(); i += 2) {
    int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return {};
    bytes.push_back(static_cast<u8>(high * 16 + low));
  }
  return bytes;
}

std::string to_hex(const std::vector<u8>& bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

}  // namespace penumbra::oracle
