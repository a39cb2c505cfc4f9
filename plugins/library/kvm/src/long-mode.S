# The tiny guest of the KVM probe, as 64 KiB firmware: from the reset vector through protected mode and paging into 64-bit mode,
# where it runs cpuid and ends the machine through the debug exit port with status 85. Assembled into `long-mode.bin`:
#   as --32 -o p.o long-mode.S && ld -m elf_i386 -Ttext 0 --oformat binary -o p.bin p.o && head -c 160 p.bin >long-mode.bin
        .code16
entry:  cli
        lgdtl   %cs:gdtr
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $8, $(0xf0000 + protected)
        .code32
protected:
        movw    $16, %ax
        movw    %ax, %ds
        movl    $0x2003, 0x1000
        movl    $0x3003, 0x2000
        movl    $0x0083, 0x3000
        movl    %cr4, %eax
        orl     $0x20, %eax
        movl    %eax, %cr4
        movl    $0x1000, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmpl   $24, $(0xf0000 + long)
        .code64
long:   xorl    %eax, %eax
        cpuid
        movb    $0x2a, %al
        outb    %al, $0xf4
        hlt
        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
        .quad   0x00af9b000000ffff
gdtr:   .word   gdtr - gdt - 1
        .long   0xf0000 + gdt
        .balign 32
