/* The ring protocol for Spin: every interleaving of a few writers and a reader on a tiny ring, with a crash or a stall at
   every step. Memory is sequentially consistent here; orderings are the business of the loom models and the litmus tests.

   Follows ring/src/{writer,advance,slots,reader}.rs: HEAD is one word [page | closed | count | step], announce words have a
   counter of one bit, index entries carry the epoch, a payload is two words, so that a torn or foreign one shows. Page numbers
   are whole and start at 0; `x + 1` in a cell leaves 0 for "never". What the code retries because HEAD's tag does not match
   the page's epoch is left out: it only sends the writer back to where it read HEAD. The jump's margin is 0 below 4 pages.
   Readers write nothing, so two of them cannot disturb each other: their agreement is checked through the ghosts rec[], com[],
   ab[], and one reader is enough.

   How to run: docs/model/run. By hand:
     spin -a DEFINES ring.pml && gcc -O2 -w -DSAFETY -DVECTORSZ=2048 -DCOLLAPSE -DMEMLIM=9000 -o pan pan.c && ./pan -E -m200000
     after an error: spin -t -p -g DEFINES ring.pml

   Size:
     -DNW=2|3 writers  -DNA0= -DNA1= -DNA2= appends of each  -DB= pages  -DR= records on a page (1..3)
     -DVARLEN     a page may close before its index is full
     -DCRASHES=n  writers 0 and 1 may die, n of them     -DLATE=n  a late writer that takes a free or dead slot for n appends
     -DRELEASE    writers give their slot back           -DREADERS=0|1
     -DSTART0     the reader starts before record 0      -DJUMPONLY  it attaches to the oldest page, then ends
     -DNEWEST     it may also attach behind the newest record
     -DSOLO       from any moment on only one process runs: it must finish within LIM steps   -DSOLOR  that is the reader
     -DCOUNTERS   read + lost + abandoned + stalled are counted, and their sum has to be the place
     -DNOGHOST    only the reader's own checks watch the bytes

   Variants of the text that are wrong, each caught:
     -DL_LATEBASE   base_seq(e) read after HEAD has been checked again, in step 3 of advance
     -DL_JUMPEPOCH  the base_seq of another page believed because its epoch did not change; HEAD not asked
     -DL_JUMPOLD    a jump may land on a page not behind mine (with L_JUMPEPOCH; alone it passes, HEAD's check is enough)
     -DL_ANYLATER   any later page with a greater base taken for "reserved on my page"
     -DL_NOEPOCH    hole rule without the last look at the page's epoch
     -DL_NOSUCC     lapped only when my own page's epoch changed
     -DL_SELFPIN    an announcement left from a lost compare-exchange still stands during the scan
     -DM_NODECIDE   the step to the next page is not recorded in HEAD
     -DM_NORECHECK  advance does not look at HEAD again after it announced the new page
     -DM_NOPIN      the scan sees no announcement
     -DM_ANNLATE    announce after the reservation    -DM_CLEAREARLY  idle before the commit
     -DM_NOLOOK2    hole rule without the second look at the entry
     -DM_STALEHOLE  the suspects of one record kept for the next one of the page
     -DM_SCANEARLY=2  scan before HEAD is read (=1: after that but before the page is closed; passes, and rightly: nobody can
                    newly pin a page that HEAD has left)
     -DM_CLOBBER    who frees a dead writer's slot also stores idle there
   Another right way: -DTWOCELLS  two base_seq cells a page, by the parity of the lap
*/
#ifndef NW
#define NW 2
#endif
#ifndef NA0
#define NA0 3
#endif
#ifndef NA1
#define NA1 2
#endif
#ifndef NA2
#define NA2 1
#endif
#ifndef LATE
#define LATE 0          /* appends of a late writer that takes over a dead slot */
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef B
#define B 3
#endif
#ifndef R
#define R 1             /* records per page */
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef LIM
#define LIM 200
#endif

#define MOVING (CRASHES+LATE)   /* owner words change */
#define NONE 255
#define NP   (NW+1)
#define MAXS 14
#define MAXE 20
#define SOLO_R 50

/* HEAD: one word [page | closed | count | k] */
#define MK(e,cl,n,k) ((e)*64+(cl)*32+(n)*8+(k))
#define HE(h) ((h)>>6)
#define HC(h) (((h)>>5)&1)
#define HN(h) (((h)>>3)&3)
#define HK(h) ((h)&7)
short HEAD = 0;

byte ep[B];                 /* page.epoch + 1; 0: never opened */
#ifdef TWOCELLS
#define BS(e) bs[((e)%B)*2+(((e)/B)&1)]
byte bs[2*B];
#else
#define BS(e) bs[(e)%B]
byte bs[B];                 /* page.base_seq */
#endif
byte st[B*R];               /* index entry: epoch tag + 1 */
byte d0[B*R], d1[B*R];      /* payload, two words */

byte ann[NW];               /* announce word: page + 1, 0 idle */
bit  ctr[NW];               /*   ... and its small counter, same word */
byte owner[NW];             /* process + 1, 0 free */
bit  dead[NP];
byte crashes = 0;

/* ghosts */
byte nres = 0;              /* records reserved */
byte rec[MAXS];             /* who reserved it */
bit  com[MAXS], ab[MAXS];   /* committed, counted abandoned by some reader */
byte gb[MAXE];              /* true base of every page that was decided */
#if READERS > 0
byte rE[READERS];           /* where each reader stands */
#endif
#ifdef SOLO
byte solo = 0, stp = 0;
#define STP  if :: solo != 0 -> stp++; assert(stp < LIM) :: else fi;
#define CANW (!dead[me] && (solo == 0 || solo == me+1))
#define CANR (solo == 0 || solo == SOLO_R+me)
#else
#define STP
#define CANW (!dead[me])
#define CANR (1)
#endif
#define S(...) atomic{ CANW -> STP __VA_ARGS__ }
#define T(...) atomic{ CANR -> STP __VA_ARGS__ }

#ifdef NOGHOST    /* leave it to the reader to find the damage */
#define WCHK skip
#define SCHK skip
#else
#define SCHK assert(BS(e) + q%R == sq)            /* append gives base_seq + index, read at the commit */
#define WCHK assert(ep[e%B] == e+1)               /* (b) nobody writes into a page that is not his any more */
#endif
#ifdef M_NODECIDE
#define OCHK if :: gb[b] == NONE -> gb[b] = sq :: else fi
#else
#ifdef NOGHOST
#define OCHK skip
#else
#define OCHK assert(gb[b] == sq)
#endif
#endif
#ifdef L_ANYLATER    /* this variant walks ahead of HEAD, to the page where HEAD has to go */
#define HCHK assert(rE[0] <= e || rE[0] == b)
#elif READERS > 0
#define HCHK assert(rE[0] <= e)                   /* (e) no reader is ahead of HEAD */
#else
#define HCHK skip
#endif

#ifdef SOLO
#define NOTSOLO (solo == 0)
#else
#define NOTSOLO (1)
#endif
#ifdef COUNTERS
#define COUNT(v,d) v = v + (d)
#else
#define COUNT(v,d) skip
#endif
/* HEAD passed through page c: it stands there, or moved on from there to a greater page */
#define vis(c) (gb[c] != NONE)

/* The first pass: which physical pages are pinned by an announcement older than HEAD's page. The dead pin too. */
inline scan() {
  j = 0; mask = 0; cntp = 0;
  do
  :: j < NW ->
#if MOVING > 0
     S( a = ann[j] );                              /* announcement first, owner second */
     if
     :: (a != 0 && a-1 < HE(h)) -> S( o = owner[j] )
     :: else
     fi;
#else
     S( a = ann[j]; o = owner[j] );
#endif
#ifndef M_NOPIN
     if
     :: (a != 0 && o != 0 && a-1 < HE(h)) -> atomic { mask = mask | (1 << ((a-1)%B)); if :: j != slot -> cntp++ :: else fi }
     :: else
     fi;
#endif
     atomic { a = 0; o = 0; j++ }
  :: else -> break
  od;
  j = 0
}

inline choose() {          /* smallest free step, local; B when there is none */
  atomic {
    k = 1;
    do
    :: (k < B && (mask & (1 << ((HE(h)+k)%B)))) -> k++
    :: else -> break
    od;
    mask = 0
  }
}

/* The second pass: a verdict is asked for only where a pin lies below the first free step. Frees the dead, then looks again. */
inline free_dead() {
  j = 0; freed = 0;
  do
  :: j < NW ->
     S( a = ann[j] );
     if
     :: (a != 0 && a-1 < HE(h)) ->
        S( o = owner[j] );
        if
        :: (o != 0 && (k >= B || ((a-1)+8*B-HE(h))%B < k && ((a-1)+8*B-HE(h))%B != 0)) ->
           S( won = dead[o-1] );
           if
           :: won ->
              freed = 1;
              S( if :: owner[j] == o -> owner[j] = 0 :: else won = 0 fi );
#ifdef M_CLOBBER
              if :: won -> S( ann[j] = 0 ) :: else fi;
#endif
              won = 0
           :: else
           fi
        :: else
        fi
     :: else
     fi;
     atomic { a = 0; o = 0; j++ }
  :: else -> break
  od;
  j = 0
}

proctype Writer(byte me; byte slot; byte napp) {
  byte n = 0, e, k, j, a, o, mask, b, q, sq, cntp, turn; short h; bit won, freed;
  if
  :: slot == NONE ->
claim:
     j = 0;
     do                                            /* a free slot; one of somebody dead is freed first */
     :: j < NW ->
        S( o = owner[j]; if :: o == 0 -> won = 1 :: else -> won = 0; if :: dead[o-1] :: else -> o = 0 fi fi );
        if
        :: (!won && o != 0) -> S( if :: owner[j] == o -> owner[j] = 0 :: else fi ); won = 1
        :: else
        fi;
        if
        :: won -> S( if :: owner[j] == 0 -> owner[j] = me+1; slot = j; o = 0; won = 0; break :: else fi )
        :: else
        fi;
        atomic { o = 0; won = 0; j++ }
     :: else -> j = 0; S( (owner[0] == 0 || dead[owner[0]-1] || owner[1] == 0 || dead[owner[1]-1]) -> skip ); goto claim
     od;
     j = 0;
     S( ann[slot] = 0 )                            /* settle; the counter goes on */
  :: else
  fi;
again:
  if
  :: n >= napp -> goto fin
  :: else
  fi;
#if M_SCANEARLY == 2
  h = MK(15,0,0,0); scan(); 
#endif
  S( h = HEAD );
  if
#ifdef VARLEN                                     /* a long record may not fit a page that holds one already */
  :: (!HC(h) && HN(h) > 0 && HN(h) < R) -> skip
#endif
  :: (!HC(h) && HN(h) < R) ->
#if M_SCANEARLY == 2
     mask = 0;
#endif
#ifndef M_ANNLATE
     S( ann[slot] = HE(h)+1; ctr[slot] = 1-ctr[slot] );
#endif
     S( if
        :: HEAD == h -> HEAD = h + 8; won = 1; e = HE(h); sq = nres; nres++;
           assert(ep[e%B] == e+1);
           assert(BS(e) + HN(h) == sq);           /* (a) unique, contiguous */
           rec[sq] = me*5+n+1; q = (e%B)*R+HN(h)
        :: else h = 0; goto again
        fi; h = 0 );
#ifdef M_ANNLATE
     S( ann[slot] = e+1; ctr[slot] = 1-ctr[slot] );
#endif
#ifdef M_CLEAREARLY
     S( ann[slot] = 0 );
#endif
     S( d0[q] = rec[sq]; WCHK );
     S( d1[q] = rec[sq]; WCHK );
     S( st[q] = e+1; WCHK; SCHK; assert(!ab[sq]); com[sq] = 1 );      /* (c) */
#ifndef M_CLEAREARLY
     S( ann[slot] = 0 );
#endif
     atomic { n++; won = 0; e = 0; sq = 0; q = 0 }
#ifdef SOLO
     if :: solo == me+1 -> goto fin :: else fi;
#endif
     goto again
  :: else
  fi;
  /* advance */
#ifndef L_SELFPIN
  if :: ann[slot] != 0 -> S( ann[slot] = 0 ) :: else fi;
#endif
#if M_SCANEARLY == 1
  scan();
#endif
  if
  :: !HC(h) -> S( if :: HEAD == h -> HEAD = h + 32; h = HEAD :: else h = 0; mask = 0; goto again fi )
  :: else
  fi;
  if
  :: HK(h) == 0 ->
#if CRASHES > 0 && !defined(M_SCANEARLY)
     turn = 0;
look:
     scan(); choose(); free_dead();
     if
     :: (freed && turn < NW) -> freed = 0; turn++; cntp = 0; k = 0; goto look
     :: freed -> k = B; cntp = B                   /* somebody died at every turn */
     :: else
     fi;
     turn = 0; freed = 0;
#else
#ifndef M_SCANEARLY
     scan();
#endif
     choose();
#endif
     if
     :: k >= B ->
#if M_SCANEARLY != 2      /* that scan counts other pages too */
        assert(cntp >= B-1);                      /* (f) at most B-2 others inside an append: never refused */
#endif
        S( cntp = 0; ann[slot] = 0; n++; k = 0; h = 0; goto again )
     :: else -> cntp = 0
     fi;
#ifdef M_NODECIDE
     won = 0
#else
     S( if :: HEAD == h -> gb[HE(h)+k] = gb[HE(h)] + HN(h); HEAD = h + k; h = HEAD; k = 0
           :: else h = 0; k = 0; goto again fi );
#endif
  :: else -> mask = 0
  fi;
#ifdef M_NODECIDE
  e = HE(h); b = e + k; k = 0;
#else
  e = HE(h); b = e + HK(h);                       /* b: page n */
#endif
  S( ann[slot] = b+1; ctr[slot] = 1-ctr[slot] );
#ifndef L_LATEBASE
  S( sq = BS(e) + HN(h) );
#endif
#ifndef M_NORECHECK
  S( if :: HEAD != h -> h = 0; e = 0; b = 0; sq = 0; goto again :: else fi );
#endif
#ifdef L_LATEBASE
  S( sq = BS(e) + HN(h) );
#endif
  S( BS(b) = sq; OCHK );
  S( assert(ep[b%B] <= b+1); ep[b%B] = b+1 );
  S( if
     :: HEAD == h -> HEAD = MK(b,0,0,0); HCHK
     :: else
     fi; h = 0; e = 0; b = 0; sq = 0 );
  goto again;
fin:
#ifdef RELEASE
  S( if :: (slot != NONE && owner[slot] == me+1) -> owner[slot] = 0 :: else fi )
#endif
  skip
}

#if READERS > 0
/* base_seq(c) into nb, ok: page c was still in the ring when it had been read. Its epoch has been seen to be c. */
inline trust() {
  ok = 0;
  T( nb = BS(c) );
  T( t = ep[c%B] );
  if
  :: t == c+1 ->
#ifdef L_JUMPEPOCH
     ok = 1
#else
     T( ok = (HE(HEAD)+HK(HEAD) < c+B) )
#endif
  :: else
  fi;
  t = 0
}

#define LAPPED  atomic { h = 0; c = 0; t = 0; nb = 0; hole = 0; su = 0; sc = 0 } goto jump
#define AGAIN   atomic { h = 0; c = 0; t = 0; nb = 0; ok = 0 } goto top
#ifdef M_STALEHOLE
#define PASS    s++; i++
#else
#define PASS    s++; i++; hole = 0; su = 0; sc = 0
#endif

proctype Reader(byte me) {
  byte e = 0, i = 0, s = 0, c, nb, t, x0, x1, k, su, sc; short h; bit fresh, ok, seen, hole;
  byte got = 0, lost = 0, aband = 0, stalled = 0;
#ifdef JUMPONLY
  fresh = 1; goto jump;
#endif
#ifdef START0
  goto top;
#endif
  if
  :: fresh = 0                                     /* before record 0 */
  :: fresh = 1; goto jump                          /* attaches late, at the oldest page */
#ifdef NEWEST
  :: fresh = 1; goto newest
#endif
  fi;

top:
  /* rule 1 */
  if
  :: i < R ->
     T( t = st[(e%B)*R+i] );
     if
     :: t == e+1 ->
        T( t = 0; x0 = d0[(e%B)*R+i] );
        T( x1 = d1[(e%B)*R+i] );
        T( if
           :: ep[e%B] == e+1 -> assert(x0 == x1 && x0 == rec[s] && com[s] && !ab[s]); COUNT(got,1); x0 = 0; x1 = 0; PASS; goto top   /* (b) */
           :: else x0 = 0; x1 = 0; hole = 0; su = 0; sc = 0; goto jump
           fi )
     :: else -> t = 0
     fi
  :: else
  fi;

  /* rule 2 */
#ifdef L_ANYLATER
  c = e+1;
  do
  :: c < e+B ->
     T( t = ep[c%B] );
     if
     :: t == c+1 ->
        T( nb = BS(c) );
        T( t = ep[c%B] );
        if
        :: (t == c+1 && nb == s) -> T( e = c; i = 0; rE[me] = c; c = 0; nb = 0; t = 0; goto top )
        :: (t == c+1 && nb > s) -> ok = 1
        :: else -> AGAIN
        fi; nb = 0
     :: (t > c+1) -> LAPPED
     :: else
     fi;
     t = 0; c++
  :: else -> break
  od;
  T( h = HEAD );
  if
  :: (ok || HE(h) == e && HN(h) > i) -> h = 0; ok = 0; c = 0; t = 0; if :: i >= R -> goto top :: else fi; goto inflight
  :: else -> h = 0; c = 0; t = 0; goto end
  fi;
#endif
  T( h = HEAD; assert(HE(h) >= e) );               /* the ring never goes backwards */
  if
  :: HE(h) == e ->
     if
     :: HN(h) > i -> h = 0; goto inflight
     :: else -> h = 0; goto end
     fi
  :: else
  fi;
  T( t = ep[e%B] );
  if
  :: t != e+1 -> LAPPED
  :: else -> t = 0
  fi;
  c = e+1;
  do
  :: (c <= HE(h) && c < e+B) ->
     T( t = ep[c%B] );
     if
     :: t == c+1 ->
#ifndef L_HELDPAGE
        if
        :: HE(h)+HK(h) >= c+B -> LAPPED            /* held for a stopped writer: out of the ring, it says nothing */
        :: else
        fi;
#endif
        trust();
        if
        :: !ok -> AGAIN
        :: else
        fi;
        ok = 0;
        T( assert(gb[c] == nb && nb >= s && vis(c));
           if
           :: nb == s -> e = c; i = 0; rE[me] = c; hole = 0; su = 0; sc = 0; h = 0; c = 0; nb = 0; goto top   /* (e) */
           :: else h = 0; c = 0; nb = 0; if :: i >= R -> assert(0) :: else fi; goto inflight
           fi )
     :: (t > c+1) ->                               /* the page after mine is gone: lapped in place */
#ifdef L_NOSUCC
        h = 0; c = 0; t = 0; goto end
#else
        LAPPED
#endif
     :: else
     fi;
     t = 0; c++
  :: else -> break
  od;
  LAPPED;

end:
  atomic { hole = 0; su = 0; sc = 0 }
#ifdef SOLO
  if :: (solo == SOLO_R+me && seen) -> T( assert(s == nres) ); goto fin
     :: (solo == SOLO_R+me && !seen) -> seen = 1; goto top      /* this look began before the others stopped */
     :: else fi;
#endif
  if :: goto top :: goto fin fi;

inflight:
  /* rule 3: who announces my page, asked once; then who still does */
  if
  :: !hole ->
     hole = 1; k = 0;
     do
     :: k < NW -> T( if :: ann[k] == e+1 -> su = su | (1 << k); sc = sc | (ctr[k] << k) :: else fi; k++ )
     :: else -> break
     od
  :: else
  fi;
  k = 0;
  do
  :: k < NW ->
     if
     :: (su & (1 << k)) ->
        T( t = (ann[k] == e+1 && ctr[k] == ((sc >> k) & 1)) );
        if
        :: t -> T( t = (owner[k] != 0 && !dead[owner[k]-1]) )
        :: else
        fi;
        if
        :: !t -> atomic { su = su & (255 - (1 << k)); sc = sc & (255 - (1 << k)) }
        :: else
        fi;
        t = 0
     :: else
     fi;
     k++
  :: else -> break
  od;
  k = 0;
  if
  :: (su != 0 && NOTSOLO) -> goto top              /* a live writer, and patience */
  :: true                                          /* nobody, or no patience left */
  fi;
#ifndef M_NOLOOK2
  T( t = st[(e%B)*R+i] );
  if :: t == e+1 -> t = 0; goto top :: else t = 0 fi;
#endif
#ifndef L_NOEPOCH
  T( if :: ep[e%B] != e+1 -> hole = 0; su = 0; sc = 0; goto jump :: else fi );
#endif
  T( if
     :: su != 0 -> COUNT(stalled,1); PASS; goto top
     :: else assert(!com[s]); ab[s] = 1; COUNT(aband,1); PASS; goto top            /* (c) */
     fi );

jump:
  /* rule 4 */
  T( h = HEAD );
#if defined(L_JUMPOLD) || defined(L_JUMPEPOCH)
  c = (HE(h) >= B-1 -> HE(h)-B+1 : 0);
#else
  assert(fresh || HE(h) > e);
  c = (HE(h)+HK(h) >= B-1 -> HE(h)+HK(h)-B+1 : 0);   /* the page decided for reuse is out already */
  if :: (!fresh && c <= e) -> c = e+1 :: else fi;
#endif
  do
  :: c <= HE(h) ->
     T( t = ep[c%B] );
     if
     :: t == c+1 ->
        trust();
        if :: ok -> break :: else fi
     :: else
     fi;
     t = 0; c++
  :: else -> c = 0; t = 0; h = 0; nb = 0; goto jump
  od;
  T( assert(nb == gb[c]); assert(nb >= s); COUNT(lost,nb-s); s = nb; e = c; i = 0; rE[me] = c; fresh = 0; c = 0; nb = 0; h = 0; t = 0; ok = 0 );
#ifndef JUMPONLY
  goto top;
#endif
#ifdef NEWEST
  goto fin;
newest:                                            /* behind the newest record: what is passed here counts for nobody */
  T( h = HEAD );
  c = HE(h);
  T( t = ep[c%B] );
  if :: t == c+1 -> trust() :: else fi;
  if
  :: ok -> T( assert(nb == gb[c]); i = HN(h); s = nb+i; COUNT(lost,s); e = c; rE[me] = c; fresh = 0; c = 0; nb = 0; h = 0; t = 0; ok = 0 ); goto top
  :: else -> c = 0; t = 0; h = 0; nb = 0; goto newest
  fi;
#endif
fin:
#ifdef COUNTERS
  assert(got+lost+aband+stalled == s);
#endif
  skip
}
#endif
#if CRASHES > 0
proctype Killer() {
  do
  :: atomic { crashes < CRASHES -> crashes++;
     if :: !dead[0] -> dead[0] = 1
#if NW > 1
        :: !dead[1] -> dead[1] = 1
#endif
     fi }
  :: break
  od
}
#endif
#ifdef SOLO
proctype Stopper() {
#ifdef SOLOR
  solo = SOLO_R; goto out;
#endif
  if
  :: !dead[0] -> solo = 1
#if NW > 1
  :: !dead[1] -> solo = 2
#endif
#if NW > 2
  :: !dead[2] -> solo = 3
#endif
#if READERS > 0
  :: solo = SOLO_R
#endif
  :: skip
  fi;
out: skip
}
#endif

init { byte t;
  atomic {
    t = 1; do :: t < MAXE -> gb[t] = NONE; t++ :: else -> break od; t = 0;
    ep[0] = 1;
    owner[0] = 1; run Writer(0,0,NA0);
#if NW > 1
    owner[1] = 2; run Writer(1,1,NA1);
#endif
#if NW > 2
    owner[2] = 3; run Writer(2,2,NA2);
#endif
#if LATE > 0
    run Writer(NW,NONE,LATE);
#endif
#if CRASHES > 0
    run Killer();
#endif
#ifdef SOLO
    run Stopper();
#endif
#if READERS > 0
    run Reader(0);
#endif
#if READERS > 1
    run Reader(1);
#endif
  }
}
