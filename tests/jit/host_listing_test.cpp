// What a vCPU tells of the code that its engine generated.
#include "cpu/mode.h"
#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

struct Recorder final : HostCodeObserver {
  std::vector<HostCode> blocks;
  void generated(const HostCode& code) override { blocks.push_back(code); }
  void dropped(const u8*, u64) override {}
};

// mov eax, 5; l: add [kData], eax; dec eax; jnz l; hlt
const std::vector<u8> kLoop = {0xb8, 5,    0, 0,    0,    0x01, 0x04, 0x25, 0,
                               0,    0x10, 0, 0xff, 0xc8, 0x75, 0xf5, 0xf4};

}  // namespace

TEST_CASE("The generated code of an instruction is listed once it has run, links included") {
  BareGuest guest;
  guest.load(BareGuest::kCode, kLoop);
  CodeMode mode = cpu::code_mode(guest.vcpu.state(), false);
  CHECK(guest.vcpu.describe_blocks(BareGuest::kCode, mode).empty());
  guest.run_to_halt();
  std::string first = guest.vcpu.describe_blocks(BareGuest::kCode, mode);
  CHECK(first.starts_with("block of 4 instructions at physical 10000\n"));
  CHECK(first.find("site(store, 5)") != std::string::npos);
  CHECK(first.find("block(5)") != std::string::npos);
  std::string both = guest.vcpu.describe_blocks(BareGuest::kCode + 5, mode);
  CHECK(both.find("block of 4 instructions at physical 10000\n") != std::string::npos);
  CHECK(both.find(" instructions at physical 10005\n") != std::string::npos);
  CHECK(guest.vcpu.describe_blocks(BareGuest::kCode + kLoop.size(), mode).empty());
}

TEST_CASE("An observer is told of every generated block, once") {
  BareGuest guest;
  guest.load(BareGuest::kCode, kLoop);
  Recorder recorder;
  guest.vcpu.observe_host_code(&recorder);
  guest.run_to_halt();
  std::vector<u64> offsets;
  for (const HostCode& block : recorder.blocks) {
    offsets.push_back(block.guest.value - BareGuest::kCode);
    CHECK(block.size > 0);
    CHECK(block.mode == cpu::code_mode(guest.vcpu.state(), false));
  }
  CHECK(offsets == std::vector<u64>{0, 5, 16});
}

}  // namespace penumbra::jit
