"""heartbeat.py: wants each processor every 10 ms. Prints "ready", and answers each line with the
longest time, as JSON, that one of them did nothing for us since the last one."""
import json
import os
import sys
import threading
import time

PERIOD = 0.01


class Beat(threading.Thread):
    def __init__(self, processor):
        super().__init__(daemon=True)
        self.processor, self.worst = processor, 0.0

    def run(self):
        os.sched_setaffinity(0, {self.processor})  # of this thread
        last = time.monotonic()
        while True:
            time.sleep(PERIOD)
            now = time.monotonic()
            self.worst = max(self.worst, now - last - PERIOD)
            last = now

    def taken(self):
        worst, self.worst = self.worst, 0.0
        return worst


def main():
    beats = [Beat(processor) for processor in os.sched_getaffinity(0)]
    for beat in beats:
        beat.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps({"stall_ms": round(max(b.taken() for b in beats) * 1000)}), flush=True)


if __name__ == "__main__":
    main()
