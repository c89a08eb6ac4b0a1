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

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// What does not decode is listed as its first byte.
std::string list(const ExecStep& step, size_t length) {
  if (step.code.empty()) return fmt::format("{:012x}  (not mapped)", step.rip);
  return first_line(frontend::list_guest(step.code.first(length), step.rip, step.mode.size()));
}

}  // namespace

std::expected<std::unique_ptr<ExecTrace>, std::string> ExecTrace::open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return std::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  std::setvbuf(file, nullptr, _IOFBF, kBufferBytes);
  return std::unique_ptr<ExecTrace>(new ExecTrace(file));
}

ExecTrace::~ExecTrace() {
  if (current_ != nullptr) write_line(before_);
  std::fclose(file_);
}

const ExecTrace::Listed& ExecTrace::listing(const ExecStep& step) {
  Listed& entry = cache_[(step.rip ^ (step.rip >> 14)) % kCacheEntries];
  size_t length = std::min(step.code.size(), entry.code.size());
  bool known = entry.rip == step.rip && entry.mode == step.mode.word && entry.length == length &&
               std::equal(step.code.begin(), step.code.begin() + length, entry.code.begin());
  if (known) return entry;
  auto decoded = frontend::decode(step.code, step.mode);
  entry = {step.rip, step.mode.word, {}, static_cast<u8>(length), false, {}};
  entry.text = list(step, decoded ? decoded->length() : 1);
  entry.repeats = decoded && decoded->operands.repeat != Repeat::None;
  std::copy_n(step.code.begin(), length, entry.code.begin());
  return entry;
}

void ExecTrace::step(const ExecStep& step) {
  if (current_ != nullptr) {
    if (current_->repeats && current_->rip == step.rip) return;
    write_line(step.registers);
  }
  current_ = &listing(step);
  before_ = step.registers;
}

void ExecTrace::write_line(const TracedRegisters& after) {
  std::string changes;
  for (size_t i = 0; i < TracedRegisters::kCount; ++i) {
    if (after.values[i] == before_.values[i]) continue;
    changes += fmt::format(" {}={:x}", kNames[i], after.values[i]);
  }
  if (changes.empty()) {
    fmt::print(file_, "{}\n", current_->text);
  } else {
    fmt::print(file_, "{:<{}}{}\n", current_->text, kChangesColumn, changes);
  }
}

}  // namespace penumbra::debug
