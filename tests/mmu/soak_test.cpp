// Random page tables, stores to them, accesses and context changes, each compared with the naive
// walker: outcome, data, and afterwards all of memory including accessed and dirty flags.
#include <array>
#include <random>

#include "tests/mmu/naive_walker.h"
#include "tests/mmu/world.h"

namespace penumbra::mmu::test {
namespace {

constexpr u64 kPages = 48, kRomPages = 4;
constexpr u64 kBytes = kPages * kPageSize, kSoakRom = 0x400000, kAlias = 0x800000,
              kAliasBytes = 16 * kPageSize;

/// Memory of the model: RAM at 0, its start again at kAlias, ROM at kSoakRom, holes.
struct SoakMemory : ModelMemory {
  std::vector<u8> bytes = std::vector<u8>(kBytes + kRomPages * kPageSize);
  bool a20 = true;

  u8* byte(u64 physical, bool& writable) override {
    if (!a20) physical &= ~(1ull << 20);
    if (physical - kAlias < kAliasBytes) physical -= kAlias;
    writable = physical < kBytes;
    if (physical < kBytes) return &bytes[physical];
    if (physical - kSoakRom < kRomPages * kPageSize) return &bytes[kBytes + physical - kSoakRom];
    return nullptr;
  }
};

/// One of the vCPUs that share the memory and its page tables.
struct Cpu {
  ExternalBuffer external;
  Mmu mmu;
  PagingContext context;
  u64 pdpte[4] = {};
  /// By execute epoch: the pages fetched from and where they were.
  std::map<u64, std::map<u64, u64>> executed;

  explicit Cpu(AddressSpace& space) : mmu(space, external) {}
};

/// What a device register at a physical address reads as.
u8 device_byte(u64 physical) { return static_cast<u8>(physical * 37 + (physical >> 12)); }

class Soak {
 public:
  explicit Soak(u64 seed) : random_(seed), wild_(seed % 2) {
    map_slots(*space_);
    for (auto& cpu : cpus_) cpu = std::make_unique<Cpu>(*space_);
    cpu_ = cpus_[0].get();
    space_->set_code_observer(&notes_);
    for (u64 page = 0; page < kPages; ++page) fill_table(page);
    for (u64 at = 0; at < kRomPages * kPageSize; at += 8) {
      u64 value = entry();
      std::memcpy(space_->ram() + kBytes + at, &value, 8);
    }
    space_->ram_replaced();
    std::memcpy(model_.bytes.data(), space_->ram(), model_.bytes.size());
    for (auto& root : roots_) root = pick(kPages / 4) * 4 * kPageSize;
  }

  void run(unsigned steps) {
    change_context();
    for (unsigned step = 0; step < steps; ++step) {
      INFO("step " << step);
      one_step();
      if (step % 64 == 0) compare_memory();
    }
    compare_memory();
  }

  /// Accesses that completed, by paging_kind().
  const std::array<unsigned, 4>& completed() const { return completed_; }
  /// Pages that an epoch vouched for, each time they were compared.
  u64 vouched() const { return vouched_; }
  u64 table_writes() const {
    return cpus_[0]->mmu.counters().table_writes + cpus_[1]->mmu.counters().table_writes;
  }

 private:
  static void map_slots(AddressSpace& space) {
    space.map({0}, kBytes, 0, AddressSpace::SlotKind::Ram);
    space.map({kAlias}, kAliasBytes, 0, AddressSpace::SlotKind::Ram);
    space.map({kSoakRom}, kRomPages * kPageSize, kBytes, AddressSpace::SlotKind::Rom);
  }
  u64 pick(u64 below) { return random_() % below; }
  bool chance(unsigned percent) { return pick(100) < percent; }

  /// A plausible paging-structure entry; in a wild world it is odd more often.
  u64 entry() {
    if (odd(2)) return random_();
    if (odd(8)) return random_() & ~1ull;
    u64 value = pick(kPages) * kPageSize | kP;
    if (chance(10) && (value & ~0xfffull) < kAliasBytes) value |= kAlias;
    if (odd(5)) value = (kSoakRom + pick(kRomPages) * kPageSize) | kP;
    if (odd(3)) value = 0xfee00000 | kP;
    if (!odd(15)) value |= kRw;
    if (!odd(20)) value |= kUs;
    if (chance(50)) value |= kA;
    if (chance(30)) value |= kD;
    if (odd(15)) value = (value & 0xfff) | kPs;
    if (chance(10)) value |= kG;
    if (odd(8)) value |= kNx;
    if (odd(4)) value |= (random_() & 15) << 59;
    if (odd(2)) value |= 1ull << (40 + pick(23));
    if (odd(2)) value |= 1ull << (12 + pick(20));
    return value;
  }
  bool odd(unsigned percent) { return pick(400) < percent * (wild_ ? 4 : 1); }
  u64 pdpte() {
    return pick(kPages) * kPageSize | (odd(10) ? 0 : kP) | (odd(10) ? 1ull << pick(64) : 0);
  }
  u64 entry_pair_32() { return (entry() & 0xffffffff) | entry() << 32; }

  void fill_table(u64 page) {
    bool narrow = page % 4 == 2;
    for (u64 at = 0; at < kPageSize; at += 8) {
      u64 value = narrow ? entry_pair_32() : entry();
      if (page % 2 && at < 32) value = pdpte();  // odd pages are good PAE roots
      std::memcpy(space_->ram() + page * kPageSize + at, &value, 8);
    }
  }

  /// Few distinct indices per level, so that paths meet.
  u64 linear() {
    static constexpr u64 kIndex[] = {0, 1, 2, 255, 256, 511};
    u64 address = 0;
    if (chance(70)) {
      for (unsigned shift : {12, 21, 30, 39}) address |= kIndex[pick(6)] << shift;
      address = static_cast<u64>(static_cast<i64>(address << 16) >> 16);
    } else {
      address = pick(kBytes);
    }
    address |= chance(25) ? 0xff0 + pick(16) : pick(kPageSize);
    if (!(cpu_->context.efer & kLma)) address &= 0xffffffff;
    if (chance(1)) address ^= 1ull << (40 + pick(24));
    if (!(cpu_->context.efer & kLma)) address &= 0xffffffff;
    return address;
  }

  // -- contexts ----------------------------------------------------------------------------------

  void change_context() {
    PagingContext old = cpu_->context;
    if (chance(50)) {
      cpu_->context.cpl = chance(50) ? 3 : 0;
      cpu_->context.ac = chance(40);
    } else {
      cpu_->context.cr3 = roots_[pick(4)];
      if (chance(40)) random_mode();
      u64 format = paging_kind() == 1 ? 2 : paging_kind() == 2 ? 1 : pick(2) * 3;
      cpu_->context.cr3 |= format * kPageSize;
    }
    if (in_pae(cpu_->context) && chance(50))
      write_memory(cpu_->context.cr3 & 0xffffffe0, {pdpte(), pdpte(), pdpte(), pdpte()});
    reload_pdptes(old);
    cpu_->mmu.set_context(cpu_->context);
    if (chance(10)) {
      read_pdptes();
      cpu_->mmu.write_cr3(cpu_->context.cr3 | (chance(50) ? 1ull << 63 : 0));
    }
    if (chance(20)) cpu_->mmu.invalidate_page(linear());
  }

  void random_mode() {
    u64 kind = pick(8);
    cpu_->context.cr0 = kPe | (kind ? kPg : 0) | (chance(60) ? kWp : 0) | (chance(30) ? kAm : 0);
    cpu_->context.cr4 = (kind > 2 ? kPae : 0) | (chance(60) ? kPse : 0) | (chance(30) ? kSmep : 0) |
                        (chance(30) ? kSmap : 0) | (chance(20) ? 1ull << 22 : 0);
    cpu_->context.efer = (kind > 4 ? kLme | kLma : 0) | (chance(70) ? kNxe : 0);
    cpu_->context.pkru = chance(50) ? 0 : static_cast<u32>(random_());
  }

  /// Index of completed(): paging off, 32-bit, PAE, 4-level.
  unsigned paging_kind() const {
    if (!(cpu_->context.cr0 & kPg)) return 0;
    return !(cpu_->context.cr4 & kPae) ? 1 : in_pae(cpu_->context) ? 2 : 3;
  }
  bool in_pae(const PagingContext& c) const {
    return (c.cr0 & kPg) && (c.cr4 & kPae) && !(c.efer & kLma);
  }
  void reload_pdptes(const PagingContext& old) {
    bool changed = cpu_->context.cr3 != old.cr3 || (cpu_->context.cr0 ^ old.cr0) & 0xe0000000 ||
                   (cpu_->context.cr4 ^ old.cr4) & (kPse | kPae | kPge | kSmep);
    if (in_pae(cpu_->context) && (changed || !in_pae(old))) read_pdptes();
  }
  void read_pdptes() {
    if (!in_pae(cpu_->context)) return;
    for (u64 i = 0; i < 4; ++i)
      cpu_->pdpte[i] = model_.read((cpu_->context.cr3 & 0xffffffe0) + 8 * i, 8);
  }

  // -- steps -------------------------------------------------------------------------------------

  void one_step() {
    if (chance(10)) cpu_ = cpus_[pick(2)].get();
    if (chance(10)) check_epoch();
    u64 kind = pick(100);
    if (kind < 8) return change_context();
    if (kind < 40) return read(false);
    if (kind < 45) return read(true);
    if (kind < 75) return write();
    if (kind < 82) return fetch();
    if (kind < 86) return probe();
    if (kind < 93) return dma();
    if (kind < 95) return mark_or_clear();
    if (kind < 96) return dirty_log();
    if (kind < 97 && chance(20)) return toggle_a20();
    if (kind < 98) return span();
    peek();
  }

  struct Prediction {
    std::optional<Fault> fault;
    std::vector<u64> physical;  ///< of each byte
  };

  std::optional<Fault> alignment_fault(u64 at, u32 size, bool implicit) {
    bool checked =
        !implicit && cpu_->context.ac && cpu_->context.cpl == 3 && (cpu_->context.cr0 & kAm);
    u32 alignment = size == 10 ? 8 : size == 6 ? 4 : 1;
    if (alignment == 1)
      for (u32 next : {2, 4, 8, 16})
        if (size % next == 0) alignment = next;
    if (!checked || at % alignment == 0) return {};
    return Fault::of(Vector::Ac);
  }

  enum class Effects { Complete, None };
  Prediction expect(u64 at, u32 size, Access access, bool implicit,
                    Effects effects = Effects::Complete) {
    NaiveWalker walker(model_, cpu_->context, cpu_->pdpte);
    bool wide = (cpu_->context.efer & kLma) && (cpu_->context.cr0 & kPg);
    u64 wrap = wide ? ~0ull : 0xffffffff;
    u32 in_first = static_cast<u32>(std::min<u64>(size, kPageSize - at % kPageSize));
    std::vector<NaiveResult> pages = {walker.translate(at & wrap, access, implicit)};
    if (in_first < size)
      pages.push_back(walker.translate((at + in_first) & wrap, access, implicit));
    for (const NaiveResult& page : pages)
      if (page.fault) return {page.fault, {}};
    if (effects == Effects::Complete)
      for (const NaiveResult& page : pages) walker.complete(page, access);
    Prediction prediction;
    for (u32 i = 0; i < size; ++i) {
      u64 physical = i < in_first ? pages[0].physical + i : pages[1].physical + (i - in_first);
      prediction.physical.push_back(model_.a20 ? physical : physical & ~(1ull << 20));
    }
    return prediction;
  }

  u32 size() {
    static constexpr u32 kSizes[] = {1, 2, 4, 8, 8, 10, 16, 32, 3, 6};
    return chance(2) ? 1 + static_cast<u32>(pick(4096)) : kSizes[pick(10)];
  }

  /// Runs an instruction's access until the devices have answered all of it.
  template <class F>
  Expected<> restarted(F access, std::vector<ExternalAccess>& device) {
    cpu_->external.clear();
    for (;;) {
      cpu_->external.rewind();
      auto result = access();
      if (result || result.error().kind != Fault::Kind::External) return result;
      REQUIRE(cpu_->external.has_pending());
      ExternalAccess pending = cpu_->external.pending();
      device.push_back(pending);
      u64 answer = 0;
      for (u32 i = 0; i < pending.size; ++i)
        answer |= u64{device_byte(pending.address + i)} << (8 * i);
      cpu_->external.complete(answer);
    }
  }

  void read(bool for_write) {
    u64 at = linear();
    u32 bytes = size();
    bool implicit = !for_write && chance(15);
    auto fault = alignment_fault(at, bytes, implicit);
    Prediction expected;
    if (!fault) {
      expected = expect(at, bytes, for_write ? Access::Write : Access::Read, implicit);
      fault = expected.fault;
    }
    std::vector<u8> got(bytes);
    std::vector<ExternalAccess> device;
    auto privilege = implicit ? Privilege::Implicit : Privilege::Current;
    auto result = restarted(
        [&] {
          return for_write ? cpu_->mmu.read_for_write(at, got.data(), bytes)
                           : cpu_->mmu.read(at, got.data(), bytes, privilege);
        },
        device);
    compare(at, fault, result);
    if (fault) return;
    for (u32 i = 0; i < bytes; ++i) {
      bool writable;
      u8* model = model_.byte(expected.physical[i], writable);
      u8 wanted = model ? *model : device_byte(expected.physical[i]);
      if (got[i] != wanted) {
        INFO("read at " << std::hex << at << " byte " << i);
        REQUIRE(u32{got[i]} == u32{wanted});
      }
    }
  }

  void write() {
    u64 at = linear();
    u32 bytes = size();
    bool implicit = chance(10);
    auto fault = alignment_fault(at, bytes, implicit);
    Prediction expected;
    if (!fault) {
      expected = expect(at, bytes, Access::Write, implicit);
      fault = expected.fault;
    }
    std::vector<u8> data(bytes);
    for (u32 i = 0; i < bytes; i += 8) {
      u64 value = paging_kind() == 1 ? entry_pair_32() : entry();
      std::memcpy(&data[i], &value, std::min<u32>(8, bytes - i));
    }
    notes_.written.clear();
    std::vector<ExternalAccess> device;
    auto privilege = implicit ? Privilege::Implicit : Privilege::Current;
    auto result =
        restarted([&] { return cpu_->mmu.write(at, data.data(), bytes, privilege); }, device);
    compare(at, fault, result);
    if (!fault) model_write(expected.physical, data, device);
  }

  /// The same store in the model; device bytes must have arrived once each, in aligned fragments.
  void model_write(const std::vector<u64>& physical, const std::vector<u8>& data,
                   const std::vector<ExternalAccess>& device) {
    std::vector<std::pair<u64, u8>> wanted, got;
    bool code_hit = false;
    for (u32 i = 0; i < data.size(); ++i) {
      bool writable;
      u8* model = model_.byte(physical[i], writable);
      if (!model) wanted.push_back({physical[i], data[i]});
      if (!model || !writable) continue;
      *model = data[i];
      code_hit |= code_[static_cast<size_t>(model - model_.bytes.data())];
    }
    for (const ExternalAccess& access : device) {
      CHECK(access.address % access.size == 0);
      for (u32 i = 0; i < access.size; ++i)
        got.push_back({access.address + i, static_cast<u8>(access.data >> (8 * i))});
    }
    REQUIRE(wanted == got);
    REQUIRE((!code_hit || !notes_.written.empty()));
    // Accessed and dirty flags are stores too, so there may be more; but only to code.
    for (auto [address, bytes] : notes_.written) {
      if (address >= kAlias) address -= kAlias;
      REQUIRE(std::any_of(&code_[address], &code_[address] + bytes, std::identity()));
    }
  }

  void fetch() {
    u64 at = linear();
    Prediction expected = expect(at, 1, Access::Execute, false);
    bool writable;
    if (!expected.fault && !model_.byte(expected.physical[0], writable))
      expected.fault = Fault::gp();
    auto result = cpu_->mmu.fetch(at);
    compare(at, expected.fault, result);
    if (!result) return;
    REQUIRE(result->value == expected.physical[0]);
    u64 page = page_of(cpu_->mmu.context().efer & kLma ? at : at & 0xffffffff);
    cpu_->executed[cpu_->mmu.execute_epoch()][page] = page_of(result->value);
  }

  /// While an epoch lasts, what was fetched under it is where it was.
  void check_epoch() {
    for (auto [page, physical] : cpu_->executed[cpu_->mmu.execute_epoch()]) {
      Prediction now = expect(page, 1, Access::Execute, false, Effects::None);
      REQUIRE(!now.fault);
      REQUIRE(ram_offset(now.physical[0]) == ram_offset(physical));
      ++vouched_;
    }
  }
  ptrdiff_t ram_offset(u64 physical) {
    bool writable;
    return model_.byte(physical, writable) - model_.bytes.data();
  }

  void probe() {
    u64 at = linear();
    u32 bytes = size();
    Access access = chance(50) ? Access::Write : Access::Read;
    auto fault = alignment_fault(at, bytes, false);
    if (!fault) fault = expect(at, bytes, access, false).fault;
    compare(at, fault, cpu_->mmu.probe(at, bytes, access, Privilege::Current));
  }

  void span() {
    u64 at = linear();
    Access access = chance(50) ? Access::Write : Access::Read;
    Prediction expected = expect(at, 1, access, false);
    u32 length = 0;
    auto result = cpu_->mmu.span(at, access, Privilege::Current, length);
    compare(at, expected.fault, result);
    REQUIRE((!result || length <= kPageSize - at % kPageSize));
    REQUIRE((!result || access == Access::Write || length == kPageSize - at % kPageSize));
    if (!result || !*result) return;
    bool writable;
    u8* model = model_.byte(expected.physical[0], writable);
    REQUIRE(model != nullptr);
    REQUIRE(*result - space_->ram() == model - model_.bytes.data());
    if (access == Access::Read) return;
    REQUIRE(writable);
    fill_span(*result, model, std::min<u32>(length, chance(50) ? 64 : 4096));
  }

  /// Bulk stores through a span: it must not hold code.
  void fill_span(u8* bytes, u8* model, u32 length) {
    for (u32 i = 0; i < length; ++i) {
      if (code_[static_cast<size_t>(model + i - model_.bytes.data())]) FAIL("code inside a span");
      bytes[i] = model[i] = i % 8 ? 0 : static_cast<u8>(random_());
    }
  }

  void dma() {
    u64 at = pick(kBytes) & ~7ull;
    u32 bytes = chance(5) ? 4096 : 8 * (1 + static_cast<u32>(pick(4)));
    std::vector<u64> data(bytes / 8);
    for (u64& value : data) value = at / kPageSize % 4 == 2 ? entry_pair_32() : entry();
    if (odd(20)) data.assign(data.size(), 0);
    write_memory(at, data);
  }

  void write_memory(u64 at, const std::vector<u64>& data) {
    space_->write({at}, data.data(), 8 * data.size());
    for (size_t i = 0; i < data.size(); ++i) model_.write(at + 8 * i, data[i], 8);
  }

  void mark_or_clear() {
    u64 page = pick(kPages) * kPageSize;
    if (chance(60)) {
      u64 offset = pick(kPageSize - 64), bytes = 1 + pick(64);
      space_->mark_code({page + offset}, bytes);
      std::fill_n(&code_[page + offset], bytes, true);
    } else {
      u64 offset = chance(50) ? 0 : pick(kPageSize);
      space_->clear_code({page + offset}, kPageSize - offset);
      if (page < kAliasBytes) return;  // the alias may still hold code
      std::fill_n(&code_[page + offset], kPageSize - offset, false);
    }
  }

  void dirty_log() {
    if (!logging_) {
      logging_ = true;
      space_->start_dirty_log();
    } else {
      std::vector<u64> dirty = space_->collect_dirty();
      for (u64 page = 0; page < kPages; ++page) {
        bool changed = std::memcmp(&model_.bytes[page * kPageSize], &logged_[page * kPageSize],
                                   kPageSize) != 0;
        if (changed) REQUIRE((dirty[page / 64] >> (page % 64) & 1));
      }
      if (chance(20)) {
        space_->stop_dirty_log();
        logging_ = false;
      }
    }
    logged_ = model_.bytes;
  }

  void toggle_a20() {
    model_.a20 = !model_.a20;
    space_->set_a20(model_.a20);
  }

  void peek() {
    u64 at = linear();
    GuestPhys physical;
    if (!cpu_->mmu.peek(at, physical)) return;
    PagingContext strongest = cpu_->context;
    cpu_->context.cpl = 0;
    cpu_->context.ac = true;
    cpu_->context.pkru = 0;
    NaiveResult naive =
        NaiveWalker(model_, cpu_->context, cpu_->pdpte).translate(at, Access::Read, false);
    cpu_->context = strongest;
    REQUIRE(!naive.fault);
    REQUIRE((naive.physical & (model_.a20 ? ~0ull : ~(1ull << 20))) == physical.value);
  }

  // -- comparisons -------------------------------------------------------------------------------

  template <class T>
  void compare(u64 at, const std::optional<Fault>& wanted, const Expected<T>& got) {
    bool same = wanted ? !got && got.error() == *wanted : got.has_value();
    completed_[paging_kind()] += same && !wanted;
    if (same) return;
    INFO("at " << std::hex << at << " cr0 " << cpu_->context.cr0 << " cr4 " << cpu_->context.cr4
               << " efer " << cpu_->context.efer << " cpl " << int{cpu_->context.cpl});
    INFO("wanted " << (wanted ? int(wanted->error_code) : -1) << " got "
                   << (got ? -1 : int(got.error().error_code)));
    FAIL("the outcome differs from the manual's");
  }
  void compare_memory() {
    REQUIRE(std::memcmp(space_->ram(), model_.bytes.data(), model_.bytes.size()) == 0);
  }

  std::array<unsigned, 4> completed_{};
  std::mt19937_64 random_;
  bool wild_;
  std::unique_ptr<AddressSpace> space_ =
      AddressSpace::create(kBytes + kRomPages * kPageSize).value();
  Notes notes_;
  std::array<std::unique_ptr<Cpu>, 2> cpus_;
  Cpu* cpu_;
  SoakMemory model_;
  std::vector<u8> logged_;
  std::array<bool, kBytes> code_{};
  std::array<u64, 4> roots_{};
  bool logging_ = false;
  u64 vouched_ = 0;
};

TEST_CASE("Random stores to tables and accesses agree with the naive walker") {
  std::array<unsigned, 4> completed{};
  u64 table_writes = 0, vouched = 0;
  for (u64 seed = 1; seed <= 80; ++seed) {
    INFO("seed " << seed);
    Soak soak(seed);
    soak.run(6000);
    for (unsigned kind = 0; kind < 4; ++kind) completed[kind] += soak.completed()[kind];
    table_writes += soak.table_writes();
    vouched += soak.vouched();
  }
  // The worlds must not be so wild that everything faults.
  for (unsigned count : completed) CHECK(count > 8000);
  CHECK(table_writes > 20000);
  CHECK(vouched > 20000);
}

}  // namespace
}  // namespace penumbra::mmu::test
