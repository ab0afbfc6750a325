/* What runs in a hold (hold.h): the first process of a process namespace. It waits, and lets the
 * kernel bury whoever is left to it. Made without a C library: it is all that its image holds. */

/* struct sigaction as the kernel has it: handler, flags, restorer, mask. */
static const unsigned long ignore[4] = {1, 0, 0, 0};

#define SIGCHLD_NUMBER 17

#if defined(__x86_64__)
#define NR_SIGACTION 13
#define NR_PPOLL 271
static long call(long nr, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long rv;

    __asm__ volatile("syscall"
                     : "=a"(rv)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return rv;
}
#elif defined(__aarch64__)
#define NR_SIGACTION 134
#define NR_PPOLL 73
static long call(long nr, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "say here how this machine makes a system call"
#endif

void _start(void);
void _start(void)
{
    (void)call(NR_SIGACTION, SIGCHLD_NUMBER, (long)ignore, 0, 8);
    for (;;)
        (void)call(NR_PPOLL, 0, 0, 0, 0);
}
