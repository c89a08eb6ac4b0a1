#include "tests/oracle/vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <sstream>

#include "tests/oracle/random_tests.h"

namespace penumbra::oracle {
namespace {

struct Field {
  std::string name, value;
};

constexpr const char* kGpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

struct FxField {
  const char* name;
  size_t offset;
  unsigned size;
};
constexpr FxField kFxFields[] = {{"fcw", FxImage::kControl, 2}, {"fsw", FxImage::kStatus, 2},
                                 {"ftw", FxImage::kTags, 1},    {"fop", FxImage::kOpcode, 2},
                                 {"fip", FxImage::kIp, 8},      {"fdp", FxImage::kDp, 8},
                                 {"mxcsr", FxImage::kMxcsr, 4}};

/// Little-endian bytes as one number, high digit first, without leading zeros.
std::string number_text(const u8* bytes, size_t size) {
  std::string text;
  while (size-- > 0) fmt::format_to(std::back_inserter(text), "{:02x}", bytes[size]);
  size_t first = text.find_first_not_of('0');
  return first == std::string::npos ? "0" : text.substr(first);
}

bool parse_number(std::string text, u8* bytes, size_t size) {
  if (text.empty() || text.size() > size * 2) return false;
  text.insert(0, size * 2 - text.size(), '0');
  auto parsed = parse_hex(text);
  if (parsed.size() != size) return false;
  for (size_t i = 0; i < size; ++i) bytes[i] = parsed[size - 1 - i];
  return true;
}

/// Calls visit(name, bytes, size) for every field of the state.
template <class Visit>
void visit_fields(MachineState& state, Visit visit) {
  auto raw = [](u64& value) { return reinterpret_cast<u8*>(&value); };
  for (unsigned i = 0; i < 16; ++i) visit(kGpr[i], raw(state.gpr[i]), 8u);
  visit("flags", raw(state.rflags), 8u);
  visit("fs_base", raw(state.fs_base), 8u);
  visit("gs_base", raw(state.gs_base), 8u);
  u8* fx = state.fx.bytes.data();
  for (const FxField& field : kFxFields) visit(field.name, fx + field.offset, field.size);
  for (unsigned i = 0; i < 8; ++i) visit(fmt::format("st{}", i).c_str(), fx + FxImage::st(i), 10u);
  for (unsigned i = 0; i < 16; ++i)
    visit(fmt::format("xmm{}", i).c_str(), fx + FxImage::xmm(i), 16u);
  for (unsigned i = 0; i < 16; ++i)
    visit(fmt::format("ymm_high{}", i).c_str(), raw(state.ymm_high[i][0]), 16u);
}

std::vector<Field> fields(MachineState state) {
  std::vector<Field> list;
  visit_fields(state, [&](const char* name, const u8* bytes, size_t size) {
    list.push_back({name, number_text(bytes, size)});
  });
  return list;
}

bool set_field(MachineState& state, const std::string& name, const std::string& value) {
  bool done = false;
  visit_fields(state, [&](const char* field, u8* bytes, size_t size) {
    if (name == field) done = parse_number(value, bytes, size);
  });
  return done;
}

void append_state(std::string& text, const MachineState& from, const MachineState& to) {
  auto before = fields(from), after = fields(to);
  for (size_t i = 0; i < after.size(); ++i)
    if (after[i].value != before[i].value)
      fmt::format_to(std::back_inserter(text), " {}={}", after[i].name, after[i].value);
}

void append_page(std::string& text, const PageImage& from, const PageImage& to) {
  for (size_t i = 0; i < kPageSize;) {
    size_t end = i;
    while (end < kPageSize && to.bytes[end] != from.bytes[end]) ++end;
    if (end > i)
      fmt::format_to(std::back_inserter(text), " [{:x}]={:02x}", to.address + i,
                     fmt::join(&to.bytes[i], &to.bytes[i] + (end - i), ""));
    i = end + 1;
  }
}

void append_pages(std::string& text, const std::vector<PageImage>& from,
                  const std::vector<PageImage>& to) {
  for (size_t i = 0; i < std::min(from.size(), to.size()); ++i)
    if (from[i].address == to[i].address) append_page(text, from[i], to[i]);
}

bool set_memory(std::vector<PageImage>& pages, const std::string& name, const std::string& value) {
  u64 address = 0;
  if (!parse_number(name.substr(1, name.size() - 2), reinterpret_cast<u8*>(&address), 8))
    return false;
  auto bytes = parse_hex(value);
  for (auto& page : pages) {
    if (page.address != page_of(address)) continue;
    size_t offset = address & kPageMask;
    if (bytes.empty() || offset + bytes.size() > kPageSize) return false;
    std::copy(bytes.begin(), bytes.end(), page.bytes.begin() + static_cast<long>(offset));
    return true;
  }
  return false;
}

bool set_fault(Result& result, const std::string& value) {
  unsigned vector, code;
  unsigned long long address;
  if (std::sscanf(value.c_str(), "%u:%x:%llx", &vector, &code, &address) != 3) return false;
  result.outcome = Outcome::Fault;
  result.fault = Fault::of(static_cast<penumbra::Vector>(vector), code);
  result.fault.address = address;
  return true;
}

bool set_one(MachineState& state, std::vector<PageImage>& pages, const std::string& name,
             const std::string& value) {
  if (name.starts_with('[') && name.ends_with(']')) return set_memory(pages, name, value);
  return set_field(state, name, value);
}

/// "a=b" split at its first '='; a word without one has an empty value.
Field split(const std::string& word) {
  size_t equals = word.find('=');
  if (equals == std::string::npos) return {word, ""};
  return {word.substr(0, equals), word.substr(equals + 1)};
}

std::vector<std::vector<Field>> sections(std::string_view line) {
  std::vector<std::vector<Field>> result(1);
  std::istringstream words{std::string(line)};
  for (std::string word; words >> word;) {
    if (word == ";")
      result.emplace_back();
    else
      result.back().push_back(split(word));
  }
  return result;
}

std::optional<Test> parse_head(const std::vector<Field>& head) {
  if (head.size() != 3 || head[1].name != "mode" || head[2].name != "seed") return std::nullopt;
  CodeSize size = head[1].value == "64"   ? CodeSize::Long
                  : head[1].value == "32" ? CodeSize::Bits32
                                          : CodeSize::Bits16;
  Test test = standard_test(size, std::strtoull(head[2].value.c_str(), nullptr, 10));
  test.code = parse_hex(head[0].name);
  if (test.code.empty() || test.code.size() > kMostCode) return std::nullopt;
  return test;
}

bool parse_outputs(const std::vector<Field>& outputs, Result& expected) {
  for (const Field& field : outputs) {
    if (field.name == "end") continue;
    bool good = field.name == "fault" ? set_fault(expected, field.value)
                : field.name == "rip"
                    ? parse_number(field.value, reinterpret_cast<u8*>(&expected.state.rip), 8)
                    : set_one(expected.state, expected.pages, field.name, field.value);
    if (!good) return false;
  }
  return !outputs.empty();
}

std::string outcome_text(const Result& result) {
  if (result.outcome == Outcome::Ended) return "end";
  if (result.outcome != Outcome::Fault) return to_string(result.outcome);
  return fmt::format("fault={}:{:x}:{:x} rip={:x}", static_cast<unsigned>(result.fault.vector),
                     result.fault.error_code, result.fault.address, result.state.rip);
}

}  // namespace

std::string to_vector(const Test& test, const Result& expected) {
  Test standard = standard_test(test.size, test.pattern_seed);
  const char* mode = test.size == CodeSize::Long     ? "64"
                     : test.size == CodeSize::Bits32 ? "32"
                                                     : "16";
  auto text = fmt::format("{} mode={} seed={} ;", to_hex(test.code), mode, test.pattern_seed);
  append_state(text, standard.state, test.state);
  append_pages(text, standard.pages, test.pages);
  text += " ; " + outcome_text(expected);
  MachineState visible = expected.state;
  visible.rflags = (visible.rflags & ~0x10000ull) | 0x200;  // RF of a fault's frame
  visible.fx.set(FxImage::kMxcsrMask, test.state.fx.get<u32>(FxImage::kMxcsrMask));
  if (test.size != CodeSize::Long)
    for (auto& value : visible.gpr) value &= 0xffffffff;  // the upper halves are not defined
  append_state(text, test.state, visible);
  append_pages(text, test.pages, expected.pages);
  return text;
}

std::optional<TestVector> parse_vector(std::string_view line) {
  auto parts = sections(line);
  if (parts.size() != 3) return std::nullopt;
  auto test = parse_head(parts[0]);
  if (!test) return std::nullopt;
  for (const Field& field : parts[1])
    if (!set_one(test->state, test->pages, field.name, field.value)) return std::nullopt;
  Result expected;
  expected.outcome = Outcome::Ended;
  expected.state = test->state;
  expected.state.rip = end_of(*test);
  expected.pages = test->pages;
  if (!parse_outputs(parts[2], expected)) return std::nullopt;
  return TestVector{std::move(*test), std::move(expected)};
}

}  // namespace penumbra::oracle
