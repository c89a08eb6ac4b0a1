// One test of user-mode code and what came of it, in terms both the host CPU and an engine know.
//
// A test is a piece of code with the registers and pages that it starts from. It runs to its end
// (the terminator behind it), to a fault, or into the time limit. Pages that the code touches and
// that are absent are mapped with a deterministic pattern, so that both sides see the same memory.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "common/code_mode.h"
#include "common/fault.h"
#include "common/types.h"

namespace penumbra::oracle {

/// The FXSAVE64 image (SDM 1, 10.5.1.1): x87, MMX, XMM and MXCSR. Bytes 416.. are unused.
struct alignas(16) FxImage {
  std::array<u8, 512> bytes{};

  template <class T>
  T get(size_t offset) const {
    return load_from<T>(bytes.data() + offset);
  }
  template <class T>
  void set(size_t offset, T value) {
    store_to(bytes.data() + offset, value);
  }
  static constexpr size_t kControl = 0, kStatus = 2, kTags = 4, kOpcode = 6, kIp = 8, kDp = 16,
                          kMxcsr = 24, kMxcsrMask = 28, kSt = 32, kXmm = 160, kUnused = 416;
  static constexpr size_t st(unsigned number) { return kSt + number * 16; }
  static constexpr size_t xmm(unsigned number) { return kXmm + number * 16; }

  friend bool operator==(const FxImage&, const FxImage&) = default;
};

struct MachineState {
  std::array<u64, 16> gpr{};
  u64 rip = 0;
  u64 rflags = 0x202;
  u64 fs_base = 0, gs_base = 0;
  FxImage fx;
  std::array<std::array<u64, 2>, 16> ymm_high{};  ///< bits 255:128 of the YMM registers

  /// x87 and SSE as after FNINIT, every exception masked.
  static MachineState initial();
};

struct PageImage {
  u64 address = 0;
  bool writable = true;
  std::vector<u8> bytes;  ///< kPageSize of them

  friend bool operator==(const PageImage&, const PageImage&) = default;
};

struct Test {
  CodeSize size = CodeSize::Long;
  std::vector<u8> code;  ///< at most kMostCode bytes; placed at kCodeAddress
  MachineState state;    ///< rip is ignored
  std::vector<PageImage> pages;
  u64 pattern_seed = 0;  ///< of pages mapped on fault
  u32 most_mapped = 24;  ///< pages that may be mapped on fault
};

/// The code page: HLT (#GP(0) at CPL 3) but for the code and the UD2 behind it. Read-only, user,
/// executable.
constexpr u64 kCodePage = 0x10000000;
constexpr u64 kCodeAddress = kCodePage + 0x400;
constexpr size_t kMostCode = kPageSize - 0x400 - 2;
constexpr u64 end_of(const Test& test) { return kCodeAddress + test.code.size(); }
std::vector<u8> code_page(const Test& test);

/// Where pages may be mapped on fault.
constexpr u64 kLowestMapped = 0x10000, kHighestMapped = 0x7ffffffff000;
constexpr bool may_map(u64 address) {
  return address >= kLowestMapped && address < kHighestMapped && page_of(address) != kCodePage;
}

/// 16-bit code runs in segments of 64 KiB: code from kCodePage, data and stack from kData16.
constexpr u64 kData16 = 0x20000000;
constexpr u16 kCode64Selector = 0x33, kCode32Selector = 0x23, kDataSelector = 0x2b,
              kCode16Selector = 0x07, kData16Selector = 0x0f;

enum class Outcome : u8 { Ended, Fault, Timeout, SystemCall, Broken };

struct Result {
  Outcome outcome = Outcome::Broken;
  Fault fault;  ///< outcome Fault only
  MachineState state;
  std::vector<PageImage> pages;  ///< those of the test, then those mapped, in order of mapping
};

/// Fills a page that is mapped on fault. Even seeds make pointers into a small mappable region,
/// odd ones hash bits.
void fill_pattern(u64 page, u64 seed, u8* out);

/// One side of a comparison.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual Result run(const Test& test) = 0;
};

std::string to_string(Outcome outcome);
std::vector<u8> parse_hex(std::string_view text);
std::string to_hex(const std::vector<u8>& bytes);

}  // namespace penumbra::oracle
