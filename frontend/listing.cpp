#include "frontend/listing.h"

#include <capstone/capstone.h>
#include <fmt/format.h>

#include <iterator>
#include <memory>

namespace penumbra::frontend {
namespace {

/// One open disassembler and the instruction buffer it writes to.
class Disassembler {
 public:
  explicit Disassembler(cs_mode mode) {
    open_ = cs_open(CS_ARCH_X86, mode, &handle_) == CS_ERR_OK;
    if (open_) instruction_ = cs_malloc(handle_);
  }
  ~Disassembler() {
    if (instruction_ != nullptr) cs_free(instruction_, 1);
    if (open_) cs_close(&handle_);
  }
  Disassembler(const Disassembler&) = delete;
  Disassembler& operator=(const Disassembler&) = delete;

  /// The next instruction, nullptr where the bytes are none; advances past it.
  const cs_insn* next(std::span<const u8>& bytes, u64& address) {
    const u8* code = bytes.data();
    size_t left = bytes.size();
    if (instruction_ == nullptr || !cs_disasm_iter(handle_, &code, &left, &address, instruction_))
      return nullptr;
    bytes = bytes.last(left);
    return instruction_;
  }

 private:
  csh handle_ = 0;
  bool open_ = false;
  cs_insn* instruction_ = nullptr;
};

cs_mode capstone_mode(CodeSize size) {
  return size == CodeSize::Long ? CS_MODE_64 : size == CodeSize::Bits32 ? CS_MODE_32 : CS_MODE_16;
}

std::string hex(std::span<const u8> bytes) { return fmt::format("{:02x}", fmt::join(bytes, " ")); }

std::string list(std::span<const u8> bytes, u64 address, CodeSize size) {
  std::string text;
  for (const ListedInstruction& instruction : disassemble(bytes, address, size)) {
    fmt::format_to(std::back_inserter(text), "{:012x}  {:<30}  {}\n", instruction.address,
                   hex(instruction.bytes), instruction.text);
  }
  return text;
}

}  // namespace

std::vector<ListedInstruction> disassemble(std::span<const u8> bytes, u64 address, CodeSize size) {
  Disassembler disassembler(capstone_mode(size));
  std::vector<ListedInstruction> instructions;
  while (!bytes.empty()) {
    std::span<const u8> rest = bytes;
    u64 next = address;
    if (const cs_insn* in = disassembler.next(rest, next)) {
      const char* space = in->op_str[0] != 0 ? " " : "";
      instructions.push_back(
          {address, bytes.first(in->size), fmt::format("{}{}{}", in->mnemonic, space, in->op_str)});
    } else {
      rest = bytes.subspan(1);
      next = address + 1;
      instructions.push_back({address, bytes.first(1), fmt::format(".byte {:#04x}", bytes[0])});
    }
    bytes = rest;
    address = next;
  }
  return instructions;
}

std::string list_guest(std::span<const u8> bytes, u64 rip, CodeSize size) {
  return list(bytes, rip, size);
}

std::string list_host(std::span<const u8> bytes) {
  return list(bytes, reinterpret_cast<u64>(bytes.data()), CodeSize::Long);
}

}  // namespace penumbra::frontend
