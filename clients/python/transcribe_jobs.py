"""Files as jobs of a server: python transcribe_jobs.py http://localhost:8080 talk.mp3 …"""

import asyncio
import os
import sys

from whisperlive_hybrid.client import JobFailed, JobsClient


async def main(url: str, *files: str) -> None:
    """Queue all files, then print each text when it is there."""
    async with JobsClient(url, api_key=os.environ.get("API_KEY")) as client:
        jobs = {file: (await client.submit(file)).job_id for file in files}
        for file, job_id in jobs.items():
            try:
                await client.wait(job_id, lambda job: print(f"{job.progress:.0%} {job.stage or job.state}"))
                print(file, (await client.result(job_id))["text"], sep=": ")
            except JobFailed as failed:
                print(file, failed.message, sep=": ")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
