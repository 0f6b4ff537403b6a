// holdfast schedule: what runs when.

import ArgumentParser

struct ScheduleVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule", abstract: "Look at the jobs: when they run, and whether they can do what is asked.",
        discussion: """
            Jobs are files, one a job, in the directory that --schedules or HOLDFAST_SCHEDULES names, else `schedules` \
            beside the configuration file.
            """,
        subcommands: [
            ScheduleList.self, ScheduleNext.self, ScheduleLintVerb.self, ScheduleExport.self, ScheduleRun.self,
            SchedulePause.self, ScheduleResume.self, ScheduleSkip.self, ScheduleHistory.self, ScheduleSeal.self,
        ])

    @OptionGroup(title: "Global Options") var global: GlobalOptions
}
