; Loads through the context, a number on the stack, a helper, and a read that is too far for packets
; of up to 60 bytes.
r9 = *(u32 *)(r1 + 0)
r6 = r1
r0 = *(u16 *)(r9 + 12)
r0 = be16 r0
*(u16 *)(r10 - 8) = r0
call 7
r5 = *(u8 *)(r9 + 60)
*(u8 *)(r9 + 0) = 255
r0 = 2
exit
