#include "cpu/x87/host_unit_x86.h"

namespace penumbra::cpu::x87 {
namespace {

/// FNSAVE image, 32-bit protected format (SDM 1, figure 8-9), registers in stack order.
struct [[gnu::packed]] Image {
  u16 control = 0, reserved1 = 0;
  u16 status = 0, reserved2 = 0;
  u16 tags = 0xffff, reserved3 = 0;
  u32 pointers[4] = {};
  struct [[gnu::packed]] {
    u64 mantissa = 0;
    u16 exponent = 0;
  } st[8];
};
static_assert(sizeof(Image) == 108);

constexpr u16 kEmptyTag = 3;

bool tag_is_empty(u16 tags, unsigned reg) { return (tags >> (2 * reg) & 3) == kEmptyTag; }

/// TOP is 0, so ST(i) is register i.
Image image_of(const HostOperands& in) {
  Image image;
  image.control = in.control;
  image.status = in.conditions;
  for (unsigned i = 0; i < in.count; ++i) {
    image.st[i].mantissa = in.st[i]->mantissa;
    image.st[i].exponent = in.st[i]->exponent;
    if (!in.empty[i]) image.tags &= static_cast<u16>(~(kEmptyTag << (2 * i)));
  }
  if (in.full) image.tags &= static_cast<u16>(~(kEmptyTag << 14));
  return image;
}

}  // namespace

void load_host(const X87State& state) {
  Image image;
  image.control = state.control;
  image.status = state.status;
  for (unsigned i = 0; i < 8; ++i) {
    const X87Register& value = st(state, i);
    image.st[i].mantissa = value.mantissa;
    image.st[i].exponent = value.exponent;
    if (state.tags >> i & 1) image.tags &= static_cast<u16>(~(kEmptyTag << (2 * i)));
  }
  asm volatile("frstor %0" : : "m"(image));
}

void save_host(X87State& state) {
  Image image;
  asm volatile("fnsave %0" : "=m"(image));
  state.control = (image.control & Control::kWritable) | Control::kFixed;
  state.status = image.status;
  state.tags = 0;
  for (unsigned i = 0; i < 8; ++i) {
    copy_register(st(state, i), {image.st[i].mantissa, image.st[i].exponent});
    if (!tag_is_empty(image.tags, i)) set_full(state, i - state.top());
  }
}

HostResult run_image(HostInstruction instruction, const HostOperands& in, void* memory) {
  u16 host_control;
  Image image = image_of(in);
  asm volatile("fnstcw %0\n\tfrstor %1" : "=m"(host_control) : "m"(image));
  instruction(memory);
  asm volatile("fnsave %0\n\tfldcw %1" : "=m"(image) : "m"(host_control));
  HostResult out;
  out.status = image.status;
  unsigned top = (image.status >> 11) & 7;
  out.pushed = top == 0 ? 0 : top < 4 ? -static_cast<int>(top) : 8 - static_cast<int>(top);
  for (unsigned i = 0; i < 2; ++i) {
    out.st[i] = {image.st[i].mantissa, image.st[i].exponent};
    out.empty[i] = tag_is_empty(image.tags, (top + i) & 7);
  }
  return out;
}

void commit_top(X87State& state, const HostOperands& in, const HostResult& out, u16 conditions) {
  for (int i = 0; i < -out.pushed; ++i) set_empty(state, static_cast<unsigned>(i));
  move_top(state, -out.pushed);
  unsigned depth = static_cast<unsigned>(static_cast<int>(in.count) + out.pushed);
  for (unsigned i = 0; i < depth; ++i) {
    set_st(state, i, out.st[i]);
    if (out.empty[i]) set_empty(state, i);
  }
  merge_status(state, out.status, conditions);
}

}  // namespace penumbra::cpu::x87
