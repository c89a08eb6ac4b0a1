#include "machine/lockstep_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpu/mode.h"
#include "frontend/decoder.h"
#include "frontend/listing.h"
#include "machine/cpu_fields.h"
#include "machine/exec_tracer.h"
#include "translator/translate.h"

namespace penumbra::machine {

namespace {

using Instruction = RecentInstructions::Instruction;

std::string listing(const Instruction& instruction) {
  if (instruction.length == 0) return fmt::format("{:16x}  nothing to fetch\n", instruction.linear);
  return frontend::list_guest({instruction.code.data(), instruction.length}, instruction.linear,
                              instruction.mode.size());
}

std::string listing(const std::deque<Instruction>& instructions) {
  std::string text;
  for (const Instruction& instruction : instructions) text += listing(instruction);
  return text;
}

/// The 4,096 bytes around `linear` as they are now; empty where nothing is mapped.
std::span<const u8> code_page(Vm& vm, u64 linear) {
  GuestPhys physical;
  if (!vm.vcpu().mmu().peek(linear, physical)) return {};
  const u8* host = vm.memory().host({page_of(physical.value)});
  if (host == nullptr) return {};
  return {host, kPageSize};
}

std::optional<translator::Block> translate_at(Vm& vm, const Instruction& first, size_t most) {
  translator::CodeView view{code_page(vm, first.linear), static_cast<u16>(first.linear & kPageMask),
                            code_page(vm, page_of(first.linear) + kPageSize)};
  if (view.page.empty()) return {};
  return translator::translate(view, first.mode, vm.model(), static_cast<u32>(most));
}

std::string heading(const char* text) { return fmt::format("\n{}:\n", text); }

/// The block that ends the straight line of instructions, which may consist of several.
std::string last_block_report(MachinePair& pair, const std::vector<Instruction>& line) {
  for (size_t first = 0; first < line.size();) {
    auto block = translate_at(pair.reference(), line[first], line.size() - first);
    if (!block) return {};
    size_t next = first + std::max<size_t>(1, block->instructions.size());
    if (next < line.size()) {
      first = next;
      continue;
    }
    std::string text = heading("Micro-ops of the last block") + translator::print(*block);
    const Instruction& last = line.back();
    std::string host = pair.subject().vcpu().describe_blocks(last.linear, last.mode);
    return host.empty() ? text : text + heading("The subject's host code") + host;
  }
  return {};
}

std::string block_report(MachinePair& pair, const RecentInstructions& recent) {
  return heading("The last instructions, as the reference ran them") + listing(recent.all()) +
         last_block_report(pair, recent.last_line());
}

std::string row(const std::string& name, const std::string& reference, const std::string& subject) {
  return fmt::format("{} {:22} {:>24} {:>24}\n", reference == subject ? ' ' : '*', name, reference,
                     subject);
}

/// Fields that are 0 in both are left out.
std::string state_table(MachinePair& pair, const std::vector<Difference>& differences) {
  std::string text = heading("Both states (* differs)");
  text += fmt::format("  {:22} {:>24} {:>24}\n", "", "reference", "subject");
  std::vector<CpuField> reference = cpu_fields(pair.reference().vcpu().state());
  std::vector<CpuField> subject = cpu_fields(pair.subject().vcpu().state());
  for (size_t i = 0; i < reference.size(); ++i) {
    if ((reference[i].value | subject[i].value) == 0) continue;
    text += row(reference[i].name, fmt::format("{:016x}", reference[i].value),
                fmt::format("{:016x}", subject[i].value));
  }
  auto is_register = [&](const Difference& difference) {
    return std::ranges::find(reference, difference.where, &CpuField::name) != reference.end();
  };
  for (const Difference& difference : differences) {
    if (is_register(difference)) continue;
    text += row(difference.where, difference.reference, difference.subject);
  }
  return text;
}

std::string summary(const Divergence& divergence, const std::vector<Difference>& differences) {
  constexpr size_t kMostShown = 12;
  std::string text = fmt::format("The engines differ after {} instructions, the last one at {:x}\n",
                                 divergence.instructions, divergence.rip);
  for (size_t i = 0; i < differences.size() && i < kMostShown; ++i) {
    text += fmt::format("  {}: reference {}, subject {}\n", differences[i].where,
                        differences[i].reference, differences[i].subject);
  }
  if (differences.size() > kMostShown) {
    text += fmt::format("  and {} more\n", differences.size() - kMostShown);
  }
  return text;
}

}  // namespace

std::string encode(const std::optional<Divergence>& found) {
  if (!found) return {};
  Divergence divergence = *found;
  Archive archive = Archive::saver();
  archive(divergence);
  return {archive.data().begin(), archive.data().end()};
}

std::optional<Divergence> decode(const std::string& bytes) {
  if (bytes.empty()) return {};
  Archive archive = Archive::loader({bytes.begin(), bytes.end()});
  Divergence divergence;
  archive(divergence);
  return archive.exhausted() ? std::optional(divergence) : std::nullopt;
}

RecentInstructions::RecentInstructions(Vm& vm) : vm_(vm) {
  vm_.vcpu().set_trace(
      [](void* user, const cpu::CpuState& state) {
        static_cast<RecentInstructions*>(user)->add(state);
      },
      this);
}

RecentInstructions::~RecentInstructions() { vm_.vcpu().set_trace(nullptr, nullptr); }

void RecentInstructions::add(const cpu::CpuState& state) {
  Instruction instruction;
  instruction.rip = state.rip;
  instruction.mode = cpu::code_mode(state, !vm_.memory().a20());
  instruction.linear = linear_rip(state, instruction.mode);
  size_t fetched = peek_code(vm_.vcpu(), vm_.memory(), instruction.linear, instruction.code);
  auto decoded = frontend::decode({instruction.code.data(), fetched}, instruction.mode);
  instruction.length = decoded ? decoded->length() : static_cast<u8>(fetched);
  if (recent_.size() == kMost) recent_.pop_front();
  recent_.push_back(instruction);
}

std::vector<Instruction> RecentInstructions::last_line() const {
  if (recent_.empty()) return {};
  size_t first = recent_.size() - 1;
  auto follows = [this](size_t i) {
    const Instruction& before = recent_[i - 1];
    const Instruction& here = recent_[i];
    return before.linear + before.length == here.linear && before.mode == here.mode &&
           page_of(before.linear) == page_of(here.linear);
  };
  while (first > 0 && follows(first)) --first;
  return {recent_.begin() + static_cast<std::ptrdiff_t>(first), recent_.end()};
}

Divergence describe(MachinePair& pair, const RecentInstructions* recent) {
  std::vector<Difference> differences = pair.differences();
  Divergence divergence;
  divergence.instructions = pair.reference().retired();
  divergence.rip = recent != nullptr && !recent->all().empty()
                       ? recent->all().back().linear
                       : pair.reference().vcpu().state().rip;
  for (const Difference& difference : differences) divergence.fields.push_back(difference.where);
  divergence.report = summary(divergence, differences) + state_table(pair, differences);
  if (recent != nullptr) divergence.report += block_report(pair, *recent);
  return divergence;
}

}  // namespace penumbra::machine
