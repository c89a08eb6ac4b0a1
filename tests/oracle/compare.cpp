#include "tests/oracle/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/decoder.h"
#include "tests/oracle/encodings.h"
#include "tests/oracle/undefined_flags.h"

namespace penumbra::oracle {
namespace {

constexpr u64 kComparedFlags = 0x244dd5;  // CF PF AF ZF SF TF DF OF NT AC ID

class Differences {
 public:
  template <class T>
  void number(std::string_view name, T expected, T got) {
    if (expected != got)
      lines_.push_back(fmt::format("{}: expected {:x}, got {:x}", name, expected, got));
  }
  void bytes(std::string_view name, const u8* expected, const u8* got, size_t size) {
    if (std::equal(expected, expected + size, got)) return;
    lines_.push_back(fmt::format("{}: expected {:02x}, got {:02x}", name,
                                 fmt::join(expected, expected + size, ""),
                                 fmt::join(got, got + size, "")));
  }
  void text(std::string_view name, const std::string& expected, const std::string& got) {
    if (expected != got)
      lines_.push_back(fmt::format("{}: expected {}, got {}", name, expected, got));
  }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
};

bool of_memory(Vector vector) {
  return vector == Vector::Pf || vector == Vector::Gp || vector == Vector::Ss;
}

std::string describe(const Result& result, const Mask& mask) {
  if (result.outcome != Outcome::Fault) return to_string(result.outcome);
  const Fault& fault = result.fault;
  if (mask.any_memory_fault && of_memory(fault.vector)) return "fault of a memory operand";
  u32 code = fault.error_code;
  // Linux reports addresses beyond those of users as present.
  if (fault.vector == Vector::Pf && fault.address >= kHighestMapped)
    code &= ~PageFaultCode::kPresent;
  return fmt::format("fault {} code {:x} address {:x}", static_cast<int>(fault.vector), code,
                     fault.vector == Vector::Pf ? fault.address : 0);
}

void compare_registers(Differences& out, const Test& test, const Result& a, const Result& b) {
  static constexpr const char* kNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  bool wide = test.size == CodeSize::Long;
  u64 seen = wide ? ~0ull : 0xffffffff;
  for (unsigned i = 0; i < (wide ? 16 : 8); ++i)
    out.number(kNames[i], a.state.gpr[i] & seen, b.state.gpr[i] & seen);
  out.number("rip", a.state.rip & seen, b.state.rip & seen);
  if (!wide) return;
  out.number("fs_base", a.state.fs_base, b.state.fs_base);
  out.number("gs_base", a.state.gs_base, b.state.gs_base);
}

void compare_fpu(Differences& out, const Test& test, const FxImage& a, const FxImage& b) {
  auto word = [](const FxImage& fx, size_t offset) { return fx.get<u16>(offset); };
  out.number("fcw", word(a, FxImage::kControl), word(b, FxImage::kControl));
  out.number("fsw", word(a, FxImage::kStatus), word(b, FxImage::kStatus));
  out.number("ftw", a.get<u8>(FxImage::kTags), b.get<u8>(FxImage::kTags));
  if (word(a, FxImage::kStatus) & 0x80) {  // the host saves them only while an exception waits
    out.number("fop", word(a, FxImage::kOpcode) & 0x7ff, word(b, FxImage::kOpcode) & 0x7ff);
    out.number("fip", a.get<u64>(FxImage::kIp), b.get<u64>(FxImage::kIp));
    out.number("fdp", a.get<u64>(FxImage::kDp), b.get<u64>(FxImage::kDp));
  }
  out.number("mxcsr", a.get<u32>(FxImage::kMxcsr), b.get<u32>(FxImage::kMxcsr));
  for (unsigned i = 0; i < 8; ++i)
    out.bytes(fmt::format("st{}", i), &a.bytes[FxImage::st(i)], &b.bytes[FxImage::st(i)], 10);
  for (unsigned i = 0; i < (test.size == CodeSize::Long ? 16 : 8); ++i)
    out.bytes(fmt::format("xmm{}", i), &a.bytes[FxImage::xmm(i)], &b.bytes[FxImage::xmm(i)], 16);
}

void compare_ymm_high(Differences& out, const Test& test, const MachineState& a,
                      const MachineState& b) {
  auto bytes = [](const auto& half) { return reinterpret_cast<const u8*>(half.data()); };
  for (unsigned i = 0; i < (test.size == CodeSize::Long ? 16 : 8); ++i)
    out.bytes(fmt::format("ymm_high{}", i), bytes(a.ymm_high[i]), bytes(b.ymm_high[i]), 16);
}

void compare_page(Differences& out, const PageImage& a, const PageImage& b) {
  for (size_t offset = 0; offset < kPageSize; offset += 16)
    out.bytes(fmt::format("[{:x}]", a.address + offset), &a.bytes[offset], &b.bytes[offset], 16);
}

/// FXSAVE stores MXCSR_MASK: 2FFFFh on the host, FFFFh on the model, which has no misaligned SSE
/// (APM 2, 11.4.4). The first `count` bytes of that kind are taken for it.
Result without_misaligned_sse(Result expected, const Result& got, unsigned count) {
  for (size_t i = 0; i < std::min(expected.pages.size(), got.pages.size()); ++i)
    for (size_t at = 0; at < kPageSize; ++at) {
      u8& byte = expected.pages[i].bytes[at];
      if (byte != 2 || got.pages[i].bytes[at] != 0) continue;
      if (count-- == 0) return expected;
      byte = 0;
    }
  return expected;
}

/// The model refuses bit 17 of MXCSR, which turns misaligned SSE on; the host has loaded it.
bool refuses_misaligned_sse(const Result& expected, const Result& got) {
  constexpr u32 kMisaligned = 1u << 17;
  bool loaded = (expected.state.fx.get<u32>(FxImage::kMxcsr) & kMisaligned) != 0;
  return loaded && got.outcome == Outcome::Fault && got.fault == Fault::gp();
}

std::string page_list(const Result& result) {
  std::string text;
  for (const auto& page : result.pages) text += fmt::format(" {:x}", page.address);
  return text;
}

bool by_address(const PageImage& a, const PageImage& b) { return a.address < b.address; }

void compare_memory(Differences& out, Result a, Result b) {
  std::sort(a.pages.begin(), a.pages.end(), by_address);
  std::sort(b.pages.begin(), b.pages.end(), by_address);
  out.text("pages", page_list(a), page_list(b));
  if (a.pages.size() != b.pages.size()) return;
  for (size_t i = 0; i < a.pages.size(); ++i)
    if (a.pages[i].bytes != b.pages[i].bytes) compare_page(out, a.pages[i], b.pages[i]);
}

bool compares_memory(frontend::Mnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
      return true;
    default:
      return false;
  }
}

}  // namespace

Mask undefined_after(const Test& test, const Result& result) {
  Mask mask;
  std::span<const u8> rest = test.code;
  u64 address = kCodeAddress;
  while (!rest.empty()) {
    auto in = frontend::decode(rest, user_mode(test.size));
    if (!in) break;
    mask.any_memory_fault |= compares_memory(in->mnemonic);
    if (result.outcome == Outcome::Fault && address == result.state.rip) break;
    mask.flags |= undefined_flags(*in);
    mask.mxcsr_masks +=
        in->mnemonic == ZYDIS_MNEMONIC_FXSAVE || in->mnemonic == ZYDIS_MNEMONIC_FXSAVE64;
    rest = rest.subspan(in->length());
    address += in->length();
  }
  return mask;
}

std::vector<std::string> differences(const Test& test, const Result& expected, const Result& got,
                                     const Mask& mask) {
  Differences out;
  if (expected.outcome == Outcome::Broken) return {"the host could not run it"};
  if (refuses_misaligned_sse(expected, got)) return {};
  out.text("outcome", describe(expected, mask), describe(got, mask));
  if (expected.outcome == Outcome::Timeout || expected.outcome == Outcome::SystemCall)
    return out.take();  // where each side stopped is arbitrary
  compare_registers(out, test, expected, got);
  u64 flags = kComparedFlags & ~u64{mask.flags};
  out.number("rflags", expected.state.rflags & flags, got.state.rflags & flags);
  compare_fpu(out, test, expected.state.fx, got.state.fx);
  compare_ymm_high(out, test, expected.state, got.state);
  compare_memory(out, without_misaligned_sse(expected, got, mask.mxcsr_masks), got);
  return out.take();
}

}  // namespace penumbra::oracle
