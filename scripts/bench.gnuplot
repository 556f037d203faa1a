# SPDX-License-Identifier: GPL-2.0-only
# Called by scripts/bench in the folder of bench.csv: one plot for each kind of row.
set terminal svg size 1000,700 noenhanced background "white" font "sans,12"
set datafile separator comma
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8
set boxwidth 0.9
set xtics rotate by -40 scale 0
set grid ytics
set bmargin 12
set rmargin 12
set yrange [0:]

do for [kind in "inval sweep syncs us"] {
	set output kind . ".svg"
	set title kind eq "inval" ? "Invalidation: instructions more than with nobody attached" : \
		kind eq "sweep" ? "The same without the command queue: instructions" : \
		kind eq "syncs" ? "CMD\\_SYNCs" : "Waiting: microseconds of the guest, 50000 for each CMD\\_SYNC"
	file = sprintf("< grep '^%s unmap_4K' bench.csv | sed 's/^[a-z]* unmap_4K //; s,/[^\",]*,,'", kind)
	plot file using 3:xtic(1) title "7.3.4", "" using 4 title driver
}

# Against the number of entries: a row for each power of two
set output "entries.svg"
set title "A domain with many entries: instructions without command queue and waiting"
set style data linespoints
set logscale xy
set xtics norotate 1, 2, 512
set xlabel "entries of the array"
set yrange [*:*]
set grid
set bmargin
set rmargin
set key left top
rows(what) = sprintf("< sed -n 's/^%s entries_//p' bench.csv", what)
costs = "sweep.unmap_4K array.attach array.detach_last array.detach_first"
plot for [what in costs] rows(what) using 1:4 title driver . " " . what, \
	for [what in costs] rows(what) using 1:3 title "7.3.4 " . what dashtype 2
