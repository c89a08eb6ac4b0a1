// Code that the programs of selfmod.c copy to writable pages and change there: position-independent,
// each template with a label for its end. Labels in between name what is changed.
        .text

// u32 f(void): returns the constant.
        .globl constant, constant_value, constant_end
constant:
        .byte   0xb8                    // mov $imm32, %eax
constant_value:
        .long   0
        ret
constant_end:

// u64 f(u64 rounds): each round adds an immediate that the round before has stored.
        .globl changing_loop, changing_loop_end
changing_loop:
        xor     %eax, %eax
        lea     added(%rip), %rdx
1:      .byte   0x48, 0x05              // add $imm32, %rax
added:  .long   1
        mov     %edi, (%rdx)
        dec     %rdi
        jnz     1b
        ret
changing_loop_end:

// u64 f(u64 rounds): counts in memory of its own page, 256 bytes behind the code.
        .globl beside, beside_end
beside:
        lea     counter(%rip), %rdx
        xor     %eax, %eax
1:      add     %rdi, (%rdx)
        xor     (%rdx), %rax
        dec     %rdi
        jnz     1b
        ret
        .fill   256, 1, 0xcc
counter: .quad  0
beside_end:

// u64 f(u64 rounds): a loop around a call whose target is changed between runs.
        .globl cached, cached_call, cached_first, cached_second, cached_end
cached:
        push    %rbx
        xor     %ebx, %ebx
1:      mov     %rdi, %rax
        .byte   0xe8                    // call rel32
cached_call:
        .long   cached_first - (cached_call + 4)
        add     %rax, %rbx
        dec     %rdi
        jnz     1b
        mov     %rbx, %rax
        pop     %rbx
        ret
        .balign 64
cached_first:
        lea     1(%rax, %rax, 2), %rax
        ret
        .balign 64
cached_second:
        imul    $7, %rax, %rax
        ret
cached_end:

        .section .note.GNU-stack, "", @progbits
