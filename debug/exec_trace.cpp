#include "debug/exec_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "frontend/decoder.h"
#include "frontend/listing.h"

namespace penumbra::debug {

namespace {

constexpr size_t kBufferBytes = 1 << 20;
constexpr size_t kChangesColumn = 72;
constexpr const char* kNames[TracedRegisters::kCount] = {"rax", "rcx", "rdx", "rbx", "rsp",  "rbp",
                                                         "rsi", "rdi", "r8",  "r9",  "r10",  "r11",
                                                         "r12", "r13", "r14", "r15", "flags"};

/// The instruction's own bytes; all of them where they do not decode.
std::span<const u8> instruction_bytes(const ExecStep& step) {
  auto decoded = frontend::decode(step.code, step.mode);
  return decoded ? step.code.first(decoded->length()) : step.code.first(step.code.empty() ? 0 : 1);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string list(const ExecStep& step) {
  if (step.code.empty()) return fmt::format("{:016x}  (not mapped)", step.rip);
  return first_line(frontend::list_guest(instruction_bytes(step), step.rip, step.mode.size()));
}

}  // namespace

std::expected<std::unique_ptr<ExecTrace>, std::string> ExecTrace::open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return std::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  std::setvbuf(file, nullptr, _IOFBF, kBufferBytes);
  return std::unique_ptr<ExecTrace>(new ExecTrace(file));
}

ExecTrace::~ExecTrace() {
  if (steps_ != 0) write_line(before_);
  std::fclose(file_);
}

const std::string& ExecTrace::listing(const ExecStep& step) {
  Listed& entry = cache_[(step.rip ^ (step.rip >> 14)) % kCacheEntries];
  size_t length = std::min(step.code.size(), entry.code.size());
  bool known = entry.rip == step.rip && entry.mode == step.mode.word && entry.length == length &&
               std::equal(step.code.begin(), step.code.begin() + length, entry.code.begin());
  if (!known) {
    entry = {step.rip, step.mode.word, {}, static_cast<u8>(length), list(step)};
    std::copy_n(step.code.begin(), length, entry.code.begin());
  }
  return entry.text;
}

void ExecTrace::step(const ExecStep& step) {
  if (steps_++ != 0) write_line(step.registers);
  line_ = listing(step);
  before_ = step.registers;
}

void ExecTrace::write_line(const TracedRegisters& after) {
  std::string changes;
  for (size_t i = 0; i < TracedRegisters::kCount; ++i) {
    if (after.values[i] == before_.values[i]) continue;
    changes += fmt::format(" {}={:x}", kNames[i], after.values[i]);
  }
  if (changes.empty()) {
    fmt::print(file_, "{}\n", line_);
  } else {
    fmt::print(file_, "{:<{}}{}\n", line_, kChangesColumn, changes);
  }
}

}  // namespace penumbra::debug
