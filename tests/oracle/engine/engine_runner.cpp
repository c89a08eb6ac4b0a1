#include "tests/oracle/engine/engine_runner.h"

#include <charconv>
#include <optional>
#include <stdexcept>

#include "machine/vcpu.h"
#include "tests/oracle/engine/linear_map.h"
#include "tests/oracle/engine/state_transfer.h"

namespace penumbra::oracle {
namespace {

constexpr u64 kRam = 32 << 20;
constexpr u64 kSystemPhysical = 0x100000, kCodePhysical = 0x110000, kArena = 0x200000,
              kArenaSize = 0xe00000, kPool = 0x1000000;
constexpr u64 kMostInstructions = 200'000;

/// The machine around the vCPU: no interrupts, no APIC, time that stands still.
class QuietHost final : public machine::VcpuHost {
 public:
  u64 clock_tsc() override { return 0; }
  u64 random() override { return 0; }
  Expected<u64> apic_read_msr(u32) override { return std::unexpected(Fault::gp()); }
  Expected<> apic_write_msr(u32, u64) override { return std::unexpected(Fault::gp()); }
  u64 read_cr8() override { return 0; }
  void write_cr8(u64) override {}
  bool interrupt_pending() override { return false; }
  u8 acknowledge_interrupt() override { return 0; }
};

std::unique_ptr<mmu::AddressSpace> make_space() {
  auto space = mmu::AddressSpace::create(kRam);
  if (!space) throw std::runtime_error(space.error());
  (*space)->map({0}, kRam, 0, mmu::AddressSpace::SlotKind::Ram);
  return std::move(*space);
}

std::optional<machine::EngineConfig> config_of(std::string_view engine) {
  if (engine == EngineRunner::kDefault) return {{.kind = machine::EngineKind::Interp}};
  constexpr std::string_view kBaseline = "baseline", kSeeded = "baseline:";
  machine::EngineConfig config{.kind = machine::EngineKind::Baseline};
  if (engine == kBaseline) return config;
  if (!engine.starts_with(kSeeded)) return std::nullopt;
  const char* end = engine.data() + engine.size();
  auto [read, error] = std::from_chars(engine.data() + kSeeded.size(), end, config.seed);
  if (error != std::errc() || read != end) return std::nullopt;
  return config;
}

u64 pool(size_t slot) { return kPool + slot * kPageSize; }

}  // namespace

struct EngineRunner::Impl {
  struct Page {
    u64 address;
    bool writable;
  };

  explicit Impl(const machine::EngineConfig& engine)
      : space(make_space()), tables(*space, kArena, kArenaSize), vcpu(*space, model, host, engine) {
    vcpu.reset();
    vcpu.set_exception_hook([this](const Fault& fault) {
      caught = fault;
      return true;
    });
    map_system();
  }

  void map_system() {
    auto image = SystemTables::image();
    space->write({kSystemPhysical}, image.data(), image.size());
    for (u64 i = 0; i < SystemTables::kPages; ++i)
      tables.map(SystemTables::kBase + i * kPageSize, kSystemPhysical + i * kPageSize,
                 {true, false, false});
    tables.map(kCodePage, kCodePhysical, {false, true, true});
  }

  /// Keeps the mappings that the previous test had at the same slots.
  void map_layout(const Test& test) {
    size_t same = 0;
    while (same < test.pages.size() && same < mapped.size() &&
           mapped[same].address == test.pages[same].address &&
           mapped[same].writable == test.pages[same].writable)
      ++same;
    unmap_from(same);
    for (size_t i = same; i < test.pages.size(); ++i)
      map_page({test.pages[i].address, test.pages[i].writable});
    for (size_t i = 0; i < test.pages.size(); ++i)
      space->write({pool(i)}, test.pages[i].bytes.data(), kPageSize);
  }

  void unmap_from(size_t index) {
    for (; mapped.size() > index; mapped.pop_back()) {
      tables.unmap(mapped.back().address);
      vcpu.mmu().invalidate_page(mapped.back().address);
    }
  }

  void map_page(Page page) {
    if (!tables.map(page.address, pool(mapped.size()), {page.writable, false, true})) {
      start_over();
      tables.map(page.address, pool(mapped.size()), {page.writable, false, true});
    }
    vcpu.mmu().invalidate_page(page.address);
    mapped.push_back(page);
  }

  /// The arena is full of tables of earlier tests: map what is mapped anew.
  void start_over() {
    tables.reset();
    map_system();
    for (size_t i = 0; i < mapped.size(); ++i)
      tables.map(mapped[i].address, pool(i), {mapped[i].writable, false, true});
    vcpu.mmu().write_cr3(tables.root());
  }

  void load(const Test& test) {
    map_layout(test);
    auto code = code_page(test);
    space->write({kCodePhysical}, code.data(), code.size());
    auto& state = vcpu.state();
    set_user_mode(state, test.size, tables.root());
    load_state(state, test.state);
    state.rip = test.size == CodeSize::Bits16 ? kCodeAddress - kCodePage : kCodeAddress;
    vcpu.state_changed();
  }

  bool map_on_fault(const Test& test) {
    bool absent = (caught->error_code & (PageFaultCode::kPresent | PageFaultCode::kFetch)) == 0;
    if (caught->vector != Vector::Pf || !absent || !may_map(caught->address) ||
        mapped.size() >= test.pages.size() + test.most_mapped || mapped.size() >= 96)
      return false;
    u8 bytes[kPageSize];
    fill_pattern(page_of(caught->address), test.pattern_seed, bytes);
    space->write({pool(mapped.size())}, bytes, kPageSize);
    map_page({page_of(caught->address), true});
    return true;
  }

  /// A software interrupt that was delivered becomes the fault that it is on the host.
  void undo_delivery() {
    u64 offset = caught->address - SystemTables::kHandlers;
    if (caught->vector != Vector::Pf || offset >= 256 * 16) return;
    auto& state = vcpu.state();
    u64 frame[4] = {};  // RIP, CS, RFLAGS, RSP
    space->read({kSystemPhysical + (SystemTables::kStack - 40 - SystemTables::kBase)}, frame,
                sizeof frame);
    caught = Fault::of(static_cast<Vector>(offset / 16));
    state.rip = frame[0];
    state.set_flags(frame[2]);
    state.reg(cpu::Reg::Rsp) = frame[3];
  }

  Outcome run_to_outcome(const Test& test) {
    u64 left = kMostInstructions;
    for (;;) {
      caught.reset();
      u64 before = vcpu.retired();
      auto exit = vcpu.run(left);
      left -= std::min(left, vcpu.retired() - before);
      if (exit.reason == machine::Exit::Reason::Budget || left == 0) return Outcome::Timeout;
      if (exit.reason != machine::Exit::Reason::Debug || !caught) return Outcome::Broken;
      if (map_on_fault(test)) continue;
      undo_delivery();
      u64 base = test.size == CodeSize::Bits16 ? kCodePage : 0;
      bool at_end = *caught == Fault::ud() && vcpu.state().rip + base == end_of(test);
      return at_end ? Outcome::Ended : Outcome::Fault;
    }
  }

  Result run(const Test& test) {
    if (test.code.size() > kMostCode) return {};
    load(test);
    Result result;
    result.outcome = run_to_outcome(test);
    if (result.outcome == Outcome::Fault) result.fault = *caught;
    result.state = store_state(vcpu.state());
    if (test.size == CodeSize::Bits16) result.state.rip += kCodePage;
    for (size_t i = 0; i < mapped.size(); ++i) {
      result.pages.push_back({mapped[i].address, mapped[i].writable, std::vector<u8>(kPageSize)});
      space->read({pool(i)}, result.pages.back().bytes.data(), kPageSize);
    }
    return result;
  }

  std::unique_ptr<mmu::AddressSpace> space;
  LinearMap tables;
  cpu::CpuModel model;
  QuietHost host;
  machine::Vcpu vcpu;
  std::optional<Fault> caught;
  std::vector<Page> mapped;
};

EngineRunner::EngineRunner(const std::string& engine) {
  auto config = config_of(engine);
  if (!config) throw std::invalid_argument("no engine is called " + engine);
  impl_ = std::make_unique<Impl>(*config);
}
bool EngineRunner::knows(const std::string& engine) { return config_of(engine).has_value(); }
EngineRunner::~EngineRunner() = default;
Result EngineRunner::run(const Test& test) { return impl_->run(test); }

}  // namespace penumbra::oracle
